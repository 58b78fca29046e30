"""A whole server in front of Bedrock, under signatures, driven by the packages that applications use."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel

from tests.providers.remote.converse_cases import model as listed
from tests.support.anthropic_upstream_bedrock import BedrockUpstream, Listed, refusal
from tests.support.converse_upstream import (
    CONVERSE,
    CONVERSE_STREAM,
    Conversed,
    ConverseWire,
    conversed,
    reasoned,
    use,
)
from tests.support.upstream import WAIT_S
from tests.support.whole_stack import whole_stack

pytestmark = pytest.mark.anyio

SECRETS = {"AKIDEXAMPLE": "wJalrXUtnFEMI/K7MDENG"}
NOVA, LLAMA, CLAUDE = (
    "us.amazon.nova-2-lite-v1:0",
    "us.meta.llama4-scout-17b-instruct-v1:0",
    "us.anthropic.claude-opus-4-6",
)
QUESTION: list[Any] = [{"role": "user", "content": "How is the weather in Graz and in Łódź?"}]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: list[Any] = [{"type": "function", "function": {"name": "weather", "parameters": CITY}}]
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF = base64.b64encode(b"%PDF-1.7\n%%EOF").decode()
BOTH = conversed("I look.", use("weather", {"city": "Graz"}, "t1"), use("weather", {"city": "Łódź"}, "t2"))
SIGNED = conversed(reasoned("Ask the tool.", "c2lnbmVk"), use("weather", {"city": "Graz"}, "t1"))
SUNNY = conversed("It is sunny.")


class Place(BaseModel):
    city: str


@dataclass
class Served:
    up: BedrockUpstream
    chat: openai.AsyncOpenAI
    messages: anthropic.AsyncAnthropic
    waiting: deque[Conversed] = field(default_factory=deque)

    def says(self, *said: Conversed) -> None:
        """One after the other, whole or streamed. Models are listed meanwhile."""
        self.waiting.extend(said)
        for path in (CONVERSE, CONVERSE_STREAM):
            self.up.always(lambda request: self.waiting.popleft()(request), on=path)

    @property
    def told(self) -> Any:
        return [r for r in self.up.requests if r.path.endswith((CONVERSE, CONVERSE_STREAM))][-1].body


@pytest.fixture
async def served(tmp_path: Path, nobody_at_aws: None) -> AsyncIterator[Served]:
    up = BedrockUpstream(secrets=SECRETS)
    names = {"nova": NOVA, "llama": LLAMA, "claude": CLAUDE, "embedder": "amazon.titan-embed-text-v2:0"}
    profiles = [NOVA, LLAMA, CLAUDE]
    up.always(Listed([], profiles), on="/inference-profiles")
    embedders = [listed("amazon.titan-embed-text-v2:0", outputModalities=["EMBEDDING"]), listed("cohere.rerank-v3-5:0")]
    up.always(Listed(embedders), on="/foundation-models")
    config = {
        "aws_access_key_id": "AKIDEXAMPLE",
        "aws_secret_access_key": SECRETS["AKIDEXAMPLE"],
        "converse_models": ["*claude*"],
    }
    with up:
        config["base_url"] = up.url
        provider = {"provider_id": "b", "provider_type": "remote::bedrock", "config": config}
        kinds = {"embedder": {"model_type": "embedding", "metadata": {"embedding_dimension": 1024}}}
        models = [
            {"model_id": name, "provider_id": "b", "provider_model_id": known, **kinds.get(name, {})}
            for name, known in names.items()
        ]
        async with (
            whole_stack(tmp_path, [provider], models) as server,
            openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as chat,
            anthropic.AsyncAnthropic(base_url=server.url, api_key="none", max_retries=0) as messages,
        ):
            yield Served(up, chat, messages)
    assert up.violations == []


async def test_all_vendors_models_are_listed(served: Served) -> None:
    """The list is read in the background."""
    async with asyncio.timeout(WAIT_S):
        known: set[str] = set()
        while not {"cohere.rerank-v3-5:0", NOVA, LLAMA, CLAUDE} <= known:
            known = {each.id.partition("/")[2] async for each in served.chat.models.list()}


async def test_a_stream(served: Served) -> None:
    served.says(SUNNY)
    async with served.chat.chat.completions.stream(
        model="nova", messages=QUESTION, stream_options={"include_usage": True}
    ) as stream:
        final = await stream.get_final_completion()
    assert final.choices[0].message.content == "It is sunny."
    assert final.usage is not None
    assert final.usage.total_tokens == 12


@pytest.mark.parametrize("name", ["nova", "llama"])
async def test_calls_in_parallel_and_their_results(served: Served, name: str) -> None:
    """Llama 4 takes tools, but not in a stream: Bedrock is asked for one once."""
    script = [BOTH, SUNNY]
    served.up.always(lambda request: script[sum("toolResult" in str(m) for m in request.body["messages"])](request))
    async with served.chat.chat.completions.stream(model=name, messages=QUESTION, tools=TOOLS) as stream:
        asked = (await stream.get_final_completion()).choices[0]
    assert asked.finish_reason == "tool_calls"
    calls = asked.message.tool_calls or []
    assert [json.loads(call.function.arguments)["city"] for call in calls] == ["Graz", "Łódź"]
    results: list[Any] = [{"role": "tool", "tool_call_id": call.id, "content": f"Sun {call.id}"} for call in calls]
    message: Any = asked.message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"})
    for call in message["tool_calls"]:
        call["function"].pop("parsed_arguments", None)
        call.pop("index", None)
    final = await served.chat.chat.completions.create(model=name, messages=[*QUESTION, message, *results], tools=TOOLS)
    assert final.choices[0].message.content == "It is sunny."
    told = [block["toolResult"] for block in served.told["messages"][2]["content"]]
    assert served.up.violations == (
        [] if name == "nova" else ["This model doesn't support tool use in streaming mode."]
    )
    served.up.violations.clear()
    assert told == [
        {"toolUseId": "t1", "content": [{"text": "Sun t1"}]},
        {"toolUseId": "t2", "content": [{"text": "Sun t2"}]},
    ]


async def test_an_image_and_a_document(served: Served) -> None:
    content: Any = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "file", "file": {"filename": "An_offer (2).pdf", "file_data": f"data:application/pdf;base64,{PDF}"}},
        {"type": "text", "text": "What is it?"},
    ]
    await served.chat.chat.completions.create(model="nova", messages=[{"role": "user", "content": content}])
    assert served.told["messages"][0]["content"] == [
        {"image": {"format": "png", "source": {"bytes": PNG}}},
        {"document": {"format": "pdf", "name": "An offer (2)", "source": {"bytes": PDF}}},
        {"text": "What is it?"},
    ]
    blocks: Any = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
        {"type": "text", "text": "What is it?"},
    ]
    message = await served.messages.messages.create(
        model="nova", max_tokens=99, messages=[{"role": "user", "content": blocks}]
    )
    assert [block.text for block in message.content if block.type == "text"] == ["Hello from Bedrock."]
    assert {next(iter(block)) for block in served.told["messages"][0]["content"]} == {"image", "document", "text"}
    assert served.told["inferenceConfig"] == {"maxTokens": 99}


async def test_an_answer_by_a_schema(served: Served) -> None:
    graz = conversed(use("answer", {"city": "Graz"}))
    served.says(graz, graz, graz)
    whole = await served.chat.chat.completions.parse(model="nova", messages=QUESTION, response_format=Place)
    assert whole.choices[0].message.parsed == Place(city="Graz")
    async with served.chat.chat.completions.stream(model="nova", messages=QUESTION, response_format=Place) as stream:
        streamed = await stream.get_final_completion()
    assert streamed.choices[0].message.parsed == Place(city="Graz")
    response = await served.chat.responses.parse(model="nova", input="Where?", text_format=Place)
    assert response.output_parsed == Place(city="Graz")
    with pytest.raises(openai.BadRequestError, match="response_format"):
        await served.chat.chat.completions.parse(model="llama", messages=QUESTION, response_format=Place)


async def test_reasoning_is_kept_over_a_tool_turn_of_messages(served: Served) -> None:
    served.says(SIGNED, SUNNY)
    tools: Any = [{"name": "weather", "input_schema": CITY}]
    asked: Any = {"model": "claude", "max_tokens": 4096, "tools": tools}
    async with served.messages.messages.stream(
        **asked, messages=QUESTION, thinking={"type": "enabled", "budget_tokens": 1024}
    ) as stream:
        first = await stream.get_final_message()
    assert [block.type for block in first.content] == ["thinking", "tool_use"]
    result: Any = {"type": "tool_result", "tool_use_id": first.content[1].id, "content": "Sun"}  # type: ignore[union-attr]
    history: list[Any] = [
        *QUESTION,
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result]},
    ]
    last = await served.messages.messages.create(**asked, messages=history)
    assert [block.text for block in last.content if block.type == "text"] == ["It is sunny."]
    assert served.told["messages"][1]["content"] == list(SIGNED.blocks)


async def test_reasoning_is_kept_over_a_tool_turn_of_a_response(served: Served) -> None:
    served.says(SIGNED, SUNNY)
    tools: Any = [{"type": "function", "name": "weather", "parameters": CITY, "strict": False}]
    first = await served.chat.responses.create(model="claude", input="How is it?", tools=tools)
    (call,) = [item for item in first.output if item.type == "function_call"]
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "Sun"}
    last = await served.chat.responses.create(
        model="claude", input=[result], previous_response_id=first.id, tools=tools
    )
    assert last.output_text == "It is sunny."
    assert served.told["messages"][1]["content"] == list(SIGNED.blocks)


async def test_errors_are_those_of_each_package(served: Served) -> None:
    served.up.always(refusal(429, "Slow down.", "ThrottlingException"), on=CONVERSE)
    with pytest.raises(openai.RateLimitError, match="Slow down"):
        await served.chat.chat.completions.create(model="nova", messages=QUESTION)
    with pytest.raises(anthropic.RateLimitError, match="Slow down"):
        await served.messages.messages.create(model="nova", max_tokens=9, messages=QUESTION)
    served.up.always(refusal(400, "Input is too long for requested model.", "ValidationException"), on=CONVERSE)
    with pytest.raises(openai.BadRequestError) as refused:
        await served.chat.chat.completions.create(model="nova", messages=QUESTION)
    assert refused.value.code == "context_length_exceeded"
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long"):
        await served.messages.messages.create(model="nova", max_tokens=9, messages=QUESTION)
    with pytest.raises(openai.BadRequestError) as refused:
        await served.chat.chat.completions.create(model="llama", messages=QUESTION, tools=TOOLS, tool_choice="required")
    assert refused.value.param == "tool_choice"


@pytest.mark.parametrize("wire", [{"cut_after": 3}, {"cut_after": 3, "cut_in_event": True}, {"end_after": 3}], ids=str)
async def test_a_stream_that_is_cut_never_looks_complete(served: Served, wire: dict[str, Any]) -> None:
    served.up.always(conversed("one two three four five", wire=ConverseWire(**wire)), on=CONVERSE_STREAM)
    heard = ""
    with pytest.raises(openai.APIError):  # noqa: PT012 - what was heard before counts
        async for chunk in await served.chat.chat.completions.create(model="nova", messages=QUESTION, stream=True):
            heard += "".join(choice.delta.content or "" for choice in chunk.choices)
    assert heard == "one two "
    with pytest.raises(anthropic.APIError):
        async with served.messages.messages.stream(model="nova", max_tokens=9, messages=QUESTION) as stream:
            await stream.get_final_message()


async def test_an_exception_in_a_stream_is_told(served: Served) -> None:
    wire = ConverseWire(inject=(3, {"exception": "throttlingException", "message": "Slow down."}))
    served.up.always(conversed("one two three", wire=wire), on=CONVERSE_STREAM)
    with pytest.raises(openai.APIError, match="Slow down"):
        async for _ in await served.chat.chat.completions.create(model="nova", messages=QUESTION, stream=True):
            pass


async def test_embeddings_and_counts(served: Served) -> None:
    made = await served.chat.embeddings.create(model="embedder", input=["a", "b"])
    assert [len(each.embedding) for each in made.data] == [1024, 1024]
    exact = await served.messages.messages.count_tokens(model="claude", messages=QUESTION)
    assert exact.input_tokens == 17
    estimated = await served.messages.messages.count_tokens(model="llama", messages=QUESTION)
    assert estimated.input_tokens > 0
    served.up.violations.clear()  # that Bedrock does not count for Llama
