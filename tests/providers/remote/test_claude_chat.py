"""Chat completions at an upstream that speaks the Messages API alone: what the shared suite does not ask."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llama_stack_api.errors import ProviderError, ProviderStreamBroken
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.principal import SYSTEM_CALL, Call
from tests.providers.remote.bench import Bench, chat, chunks_of
from tests.providers.remote.case import TOOLS
from tests.providers.remote.cases import CASES
from tests.support.anthropic_upstream import (
    AnthropicUpstream,
    MessagesWire,
    Says,
    hidden_thought,
    models,
    says,
    text,
    thought,
    tool_use,
)
from tests.support.anthropic_upstream_bedrock import BedrockUpstream, on_bedrock

pytestmark = pytest.mark.anyio
both = pytest.mark.parametrize(
    "case", [case for case in CASES if case.name in ("anthropic", "bedrock")], ids=lambda case: case.name
)
anthropic = pytest.mark.parametrize("case", [case for case in CASES if case.name == "anthropic"], ids=["anthropic"])


def answers(bench: Bench, said: Says) -> None:
    bench.up.always(said if bench.case.name == "anthropic" else on_bedrock(said))


def violations(bench: Bench) -> list[str]:
    assert isinstance(bench.up, AnthropicUpstream | BedrockUpstream)
    return bench.up.violations


@both
async def test_signed_thoughts_go_out_and_come_back(bench: Bench) -> None:
    """Anthropic refuses a turn of tool calls whose thoughts were changed or left out."""
    answers(bench, says(thought("Ask it."), hidden_thought("secret"), tool_use("f", {"a": 1}), input_tokens=30))
    provider = bench.open()
    asked = [{"role": "user", "content": "?"}]
    think = {"tools": TOOLS, "thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4096}
    reply = await provider.openai_chat_completion(chat(messages=asked, **think), Call())
    message = json.loads(reply.body)["choices"][0]["message"]
    assert message["reasoning_content"] == "Ask it."
    assert message["thinking_blocks"] == [thought("Ask it."), hidden_thought("secret")]

    answers(bench, says("It is 1."))
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "1"}
    await provider.openai_chat_completion(chat(messages=[*asked, message, result], **think), Call())
    assert bench.sent.body["thinking"] == think["thinking"]
    assert bench.sent.body["messages"][1]["content"] == [
        thought("Ask it."),
        hidden_thought("secret"),
        tool_use("f", {"a": 1}),
    ]
    assert violations(bench) == []


@both
async def test_thoughts_and_signatures_are_streamed(bench: Bench) -> None:
    answers(bench, says(thought("Let me see."), "Ada."))
    chunks = [chunk.model_dump() for chunk in await chunks_of(bench.open())]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert "".join(delta.get("reasoning_content") or "" for delta in deltas) == "Let me see."
    blocks = [block for delta in deltas for block in delta.get("thinking_blocks") or ()]
    assert blocks == [{"index": 0, **thought("Let me see.")}]
    assert "".join(delta.get("content") or "" for delta in deltas) == "Ada."


@both
async def test_what_was_read_from_the_cache_is_counted_as_of_the_prompt(bench: Bench) -> None:
    answers(bench, says("Ada.", usage={"cache_read_input_tokens": 90, "cache_creation_input_tokens": 1}))
    provider = bench.open()
    whole = json.loads((await provider.openai_chat_completion(chat(), Call())).body)["usage"]
    streamed = [chunk.usage.model_dump() for chunk in await chunks_of(provider) if chunk.usage][-1]
    for usage in (whole, streamed):
        assert usage["prompt_tokens"] == 100
        assert usage["prompt_tokens_details"]["cached_tokens"] == 90


@both
async def test_a_stop_sequence_and_a_limit_are_reasons_of_the_end(bench: Bench) -> None:
    for said, reason in ((says("a", stop_sequence="END"), "stop"), (says("a", stop_reason="max_tokens"), "length")):
        answers(bench, said)
        reply = await bench.open().openai_chat_completion(chat(stop="END"), Call())
        assert reply.decode().choices[0].finish_reason == reason
        chunks = await chunks_of(bench.open())
        assert [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason] == [reason]


@both
async def test_pings_are_signs_of_life(bench: Bench) -> None:
    """A model that thinks in silence is not a stalled one."""
    answers(bench, says("Ada.", wire=MessagesWire(inject=(1, {"type": "ping"}))))
    stream = await bench.open().openai_chat_completion(chat(stream=True), Call())
    blocks = [block async for block in stream]
    assert blocks
    assert b"ping" not in b"".join(blocks)


@both
async def test_rubbish_is_an_error(bench: Bench) -> None:
    for wire in (MessagesWire(inject=(2, '"text"')), MessagesWire(inject=(2, "7"))):
        answers(bench, says("one two three", wire=wire))
        with pytest.raises(ProviderStreamBroken):
            await chunks_of(bench.open())
    bench.up.always(MessagesWire().json({"type": "message", "content": "text"}))
    with pytest.raises(ProviderError, match="not a message"):
        await bench.open().openai_chat_completion(chat(), Call())


@anthropic
async def test_the_limit_of_an_answer_is_the_models_own(bench: Bench) -> None:
    async def limit(provider: Any, model: str, **fields: Any) -> int:
        params = ChatCompletionRequest.model_validate({**chat().model_dump(exclude_unset=True), **fields})
        await provider.openai_chat_completion(params.model_copy(update={"model": model}), Call())
        return int(bench.sent.body["max_tokens"])

    provider = bench.open()
    assert await limit(provider, "claude-3-haiku-20240307") == 4096
    assert await limit(provider, "claude-3-5-sonnet-20241022") == 8192
    assert await limit(provider, "claude-sonnet-5") == 32000
    bench.up.always(models({"id": "claude-sonnet-5", "max_tokens": 128000}), on="/models")
    await provider.list_models(SYSTEM_CALL)
    assert await limit(provider, "claude-sonnet-5") == 128000
    assert await limit(provider, "claude-sonnet-5", max_completion_tokens=5) == 5
    assert await limit(bench.open(max_tokens=1000), "claude-sonnet-5") == 1000


@anthropic
async def test_all_pages_of_the_models_are_read(bench: Bench) -> None:
    bench.up.always(models(*(f"claude-{number}" for number in range(2500))), on="/models")
    found = await bench.open().list_models(SYSTEM_CALL)
    assert [model.id for model in found] == [f"claude-{number}" for number in range(2500)]
    assert [request.query.get("after_id") for request in bench.asked] == [None, "claude-999", "claude-1999"]
    assert {request.headers["anthropic-version"] for request in bench.asked} == {"2023-06-01"}


@anthropic
@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
async def test_the_address_may_have_its_version_or_not(bench: Bench, suffix: str) -> None:
    await bench.open(base_url=bench.up.url + suffix).openai_chat_completion(chat(), Call())
    assert bench.sent.path == "/v1/messages"


@both
async def test_text_in_several_blocks_is_one(bench: Bench) -> None:
    answers(bench, says(text("I am "), text("Ada.")))
    reply = await bench.open().openai_chat_completion(chat(), Call())
    assert reply.decode().choices[0].message.content == "I am Ada."


@pytest.mark.parametrize("case", [case for case in CASES if case.name == "bedrock"], ids=["bedrock"])
async def test_bedrock_serves_other_vendors_models_by_converse(bench: Bench) -> None:
    for model in ("meta.llama4-v1:0", "us.amazon.nova-pro-v1:0"):
        await bench.open().openai_chat_completion(chat(model=model), Call())
        assert bench.sent.path == f"/model/{model}/converse"
