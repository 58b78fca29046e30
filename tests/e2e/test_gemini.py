"""Gemini behind a whole server, by the openai and anthropic packages: what one model's dialect has that the tests of
every backend do not ask. The upstream refuses calls without their signature, as Google does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel

from tests.support.gemini_upstream import Blocked, GeminiUpstream, GeminiWire, Says, call, failure, says, thought
from tests.support.whole_stack import whole_stack

pytestmark = pytest.mark.anyio

KEY = "AIza-of-the-upstream"
QUESTION: list[Any] = [{"role": "user", "content": "How is the weather in Graz and in Linz?"}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CHAT_TOOLS: list[Any] = [{"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}]
RESPONSE_TOOLS: list[Any] = [{"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": False}]
MESSAGE_TOOLS: list[Any] = [{"name": "weather", "input_schema": PARAMETERS}]
LOOKS = says(
    thought("Two cities. "),
    thought("I ask for both."),
    "I look it up.",
    call("weather", {"city": "Graz"}, "w-1"),
    call("weather", {"city": "Linz"}, "w-2"),
    usage={"thoughtsTokenCount": 12, "cachedContentTokenCount": 4},
)
SUNNY = says(thought("Both sunny."), "Sunny in both.")


class Place(BaseModel):
    city: str


@dataclass
class Served:
    up: GeminiUpstream
    openai: openai.AsyncOpenAI
    anthropic: anthropic.AsyncAnthropic

    def told(self) -> list[Any]:
        contents: list[Any] = self.up.last.body["contents"]
        return contents

    def check_turn(self, results: list[str], *, signature: str = LOOKS.signature) -> None:
        """The turn of calls went back as the model made it, with the results in their order."""
        model, answered = self.told()[1:3]
        assert [part.get("functionCall", {}).get("id") for part in model["parts"]] == [None, "w-1", "w-2"]
        assert [part.get("thoughtSignature") for part in model["parts"]] == [None, signature, None]
        given = [part["functionResponse"] for part in answered["parts"]]
        assert [(each["id"], each["response"]["output"]) for each in given] == list(
            zip(["w-1", "w-2"], results, strict=True)
        )


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    up = GeminiUpstream(key=KEY)
    with up:
        config = {"base_url": up.url, "api_key": KEY}
        provider = {"provider_id": "gemini", "provider_type": "remote::gemini", "config": config}
        models = [
            {"model_id": name, "provider_id": "gemini", "provider_model_id": theirs, "model_validation": False}
            for name, theirs in (("new", "gemini-3-flash"), ("old", "gemini-2.5-pro"))
        ]
        async with (
            whole_stack(tmp_path, [provider], models) as server,
            openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as chat,
            anthropic.AsyncAnthropic(base_url=server.url, api_key="none", max_retries=0) as messages,
        ):
            yield Served(up, chat, messages)
        assert up.violations == []


async def completion(client: openai.AsyncOpenAI, stream: bool, **asked: Any) -> Any:
    if not stream:
        return await client.chat.completions.create(**asked)
    async with client.chat.completions.stream(**asked) as events:
        async for _ in events:
            pass
        return await events.get_final_completion()


async def message(client: anthropic.AsyncAnthropic, stream: bool, **asked: Any) -> Any:
    if not stream:
        return await client.messages.create(max_tokens=2000, **asked)
    async with client.messages.stream(max_tokens=2000, **asked) as events:
        return await events.get_final_message()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_thought_is_kept_over_the_tools_of_a_chat(served: Served, stream: bool) -> None:
    served.up.reply(LOOKS, SUNNY)
    asked: dict[str, Any] = {"model": "new", "tools": CHAT_TOOLS, "reasoning_effort": "low"}
    first = await completion(served.openai, stream, messages=QUESTION, **asked)
    said = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    assert said.model_extra["reasoning_content"] == "Two cities. I ask for both."
    if not stream:
        assert first.usage.completion_tokens_details.reasoning_tokens == 12
        assert first.usage.prompt_tokens_details.cached_tokens == 4
    results = [
        {"role": "tool", "tool_call_id": made.id, "content": f"Sunny in {json.loads(made.function.arguments)['city']}"}
        for made in reversed(said.tool_calls)
    ]
    history = [*QUESTION, said.model_dump(exclude_none=True), *results]
    second = await completion(served.openai, stream, messages=history, **asked)
    assert second.choices[0].message.content == "Sunny in both."
    served.check_turn(["Sunny in Graz", "Sunny in Linz"])
    thinking = served.up.last.body["generationConfig"]["thinkingConfig"]
    assert thinking == {"thinkingLevel": "low", "includeThoughts": True}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_thought_is_kept_over_the_tools_of_messages(served: Served, stream: bool) -> None:
    served.up.reply(LOOKS, SUNNY)
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    asked: dict[str, Any] = {"model": "new", "tools": MESSAGE_TOOLS, "thinking": thinking}
    first = await message(served.anthropic, stream, messages=QUESTION, **asked)
    assert (
        "".join(block.thinking for block in first.content if block.type == "thinking") == "Two cities. I ask for both."
    )
    uses = [block for block in first.content if block.type == "tool_use"]
    results: list[Any] = [
        {"type": "tool_result", "tool_use_id": use.id, "content": f"Sunny in {use.input['city']}"}
        for use in reversed(uses)
    ]
    said = {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]}
    history = [*QUESTION, said, {"role": "user", "content": results}]
    second = await message(served.anthropic, stream, messages=history, **asked)
    assert [block.text for block in second.content if block.type == "text"] == ["Sunny in both."]
    served.check_turn(["Sunny in Graz", "Sunny in Linz"])


async def test_a_thought_is_kept_over_the_tools_of_responses(served: Served) -> None:
    served.up.reply(LOOKS, SUNNY)
    first = await served.openai.responses.create(model="new", input=QUESTION, tools=RESPONSE_TOOLS)
    made = [item for item in first.output if item.type == "function_call"]
    given: list[Any] = [
        {
            "type": "function_call_output",
            "call_id": item.call_id,
            "output": f"Sunny in {json.loads(item.arguments)['city']}",
        }
        for item in made
    ]
    second = await served.openai.responses.create(
        model="new", input=given, tools=RESPONSE_TOOLS, previous_response_id=first.id
    )
    assert second.output_text == "Sunny in both."
    served.check_turn(["Sunny in Graz", "Sunny in Linz"])


async def test_a_conversation_that_another_model_began(served: Served) -> None:
    """Its calls have no signature of Gemini's, and are taken all the same."""
    served.up.reply(SUNNY)
    claudes = {"type": "thinking", "thinking": "Hm.", "signature": "EqoBCkgIARABGAIiQ"}
    uses = [
        {"type": "tool_use", "id": name, "name": "weather", "input": {"city": city}}
        for name, city in (("w-1", "Graz"), ("w-2", "Linz"))
    ]
    said = {"role": "assistant", "content": [claudes, {"type": "text", "text": "I look."}, *uses]}
    results = [{"type": "tool_result", "tool_use_id": name, "content": name} for name in ("w-1", "w-2")]
    history: list[Any] = [*QUESTION, said, {"role": "user", "content": results}]
    answer = await message(served.anthropic, False, model="new", messages=history, tools=MESSAGE_TOOLS)
    assert [block.text for block in answer.content if block.type == "text"] == ["Sunny in both."]
    served.check_turn(["w-1", "w-2"], signature="skip_thought_signature_validator")


async def test_an_older_model_thinks_by_a_budget_and_knows_no_ids(served: Served) -> None:
    served.up.reply(LOOKS, SUNNY)
    asked: dict[str, Any] = {"model": "old", "tools": CHAT_TOOLS, "reasoning_effort": "high"}
    first = await completion(served.openai, False, messages=QUESTION, **asked)
    results = [{"role": "tool", "tool_call_id": name, "content": "sun"} for name in ("w-1", "w-2")]
    said = first.choices[0].message.model_dump(exclude_none=True)
    await completion(served.openai, False, messages=[*QUESTION, said, *results], **asked)
    thinking = served.up.last.body["generationConfig"]["thinkingConfig"]
    assert thinking == {"thinkingBudget": 24576, "includeThoughts": True}


async def test_a_schema_and_tools_at_once(served: Served) -> None:
    served.up.reply(says('{"city": "Graz"}'))
    tools: Any = [openai.pydantic_function_tool(Place, name="visit")]
    made = await served.openai.chat.completions.parse(
        model="new", messages=QUESTION, response_format=Place, tools=tools, tool_choice="auto"
    )
    assert made.choices[0].message.parsed == Place(city="Graz")
    sent = served.up.last.body
    assert sent["generationConfig"]["responseJsonSchema"]["required"] == ["city"]
    assert sent["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}


async def test_tokens_are_counted_by_google(served: Served) -> None:
    counted = await served.anthropic.messages.count_tokens(
        model="new", messages=QUESTION, system="Be brief.", tools=MESSAGE_TOOLS
    )
    assert counted.input_tokens == 17
    assert served.up.last.path.endswith("/gemini-3-flash:countTokens")


async def test_limits_and_keys_and_blocks_reach_the_client_as_what_they_are(served: Served) -> None:
    served.up.always(failure(429, "Quota exceeded.", retry_delay="31s"))
    with pytest.raises(openai.RateLimitError) as limited:
        await served.openai.chat.completions.create(model="new", messages=QUESTION)
    assert limited.value.response.headers["retry-after"] == "31"
    with pytest.raises(anthropic.RateLimitError):
        await served.anthropic.messages.create(model="new", max_tokens=9, messages=QUESTION)

    served.up.always(failure(400, f"API key {KEY} not valid.", reason="API_KEY_INVALID"))
    with pytest.raises(openai.APIStatusError) as rejected:
        await served.openai.chat.completions.create(model="new", messages=QUESTION)
    assert (rejected.value.status_code, rejected.value.code) == (502, "upstream_authentication_failed")
    assert KEY not in str(rejected.value)

    served.up.always(Blocked())
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as blocked:
            await completion(served.openai, stream, model="new", messages=QUESTION)
        assert blocked.value.code == "content_filter"


async def test_a_bad_key_of_the_request(served: Served) -> None:
    data = json.dumps({"gemini_api_key": "AIza-another"})
    with pytest.raises(openai.APIStatusError) as rejected:
        await served.openai.chat.completions.create(
            model="new", messages=QUESTION, extra_headers={"X-LlamaStack-Provider-Data": data}
        )
    assert rejected.value.code == "upstream_authentication_failed"
    served.up.violations.clear()


@pytest.mark.parametrize(
    "wire", [GeminiWire(cut_after=2, cut_in_event=True), GeminiWire(end_after=2)], ids=["cut", "ended"]
)
async def test_a_stream_that_breaks_off_never_looks_complete(served: Served, wire: GeminiWire) -> None:
    served.up.always(Says([{"text": "one two three four"}], wire=wire))
    with pytest.raises(openai.APIError, match="Provider 'gemini' broke"):
        await completion(served.openai, True, model="new", messages=QUESTION)
    with pytest.raises(anthropic.APIStatusError):
        await message(served.anthropic, True, model="new", messages=QUESTION)


async def test_an_upstream_that_died(served: Served) -> None:
    served.up.stop()
    try:
        with pytest.raises(openai.APIStatusError) as dead:
            await served.openai.chat.completions.create(model="new", messages=QUESTION)
        assert (dead.value.status_code, dead.value.code) == (502, "upstream_unreachable")
    finally:
        served.up.start()
