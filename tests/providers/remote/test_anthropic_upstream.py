"""Anthropic on loopback, seen through the anthropic package: what the other tests lean on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest

from tests.support.anthropic_upstream import (
    AnthropicUpstream,
    MessagesWire,
    failure,
    hidden_thought,
    models,
    says,
    text,
    thought,
    tool_use,
)

pytestmark = pytest.mark.anyio
QUESTION: list[Any] = [{"role": "user", "content": "?"}]
TOOLS: list[Any] = [{"name": "f", "input_schema": {"type": "object"}}]


@pytest.fixture
async def claude() -> AsyncIterator[AnthropicUpstream]:
    upstream = AnthropicUpstream(key="k")
    with upstream:
        yield upstream


@pytest.fixture
async def client(claude: AnthropicUpstream) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=claude.url, api_key="k", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("split_bytes", [None, 1, 7])
async def test_a_message_whole_and_streamed(
    claude: AnthropicUpstream, client: anthropic.AsyncAnthropic, split_bytes: int | None
) -> None:
    blocks = [thought("Hm, ja."), hidden_thought("x"), text("Ich heiße Ada."), tool_use("f", {"city": "Łódź"})]
    claude.always(says(*blocks, wire=MessagesWire(split_bytes=split_bytes)))
    whole = await client.messages.create(model="m", max_tokens=9, messages=QUESTION, tools=TOOLS)
    async with client.messages.stream(model="m", max_tokens=9, messages=QUESTION, tools=TOOLS) as stream:
        streamed = await stream.get_final_message()
    for message in (whole, streamed):
        kept = [block.model_dump(include=set(said)) for block, said in zip(message.content, blocks, strict=True)]
        assert kept == blocks
        assert (message.stop_reason, message.usage.input_tokens) == ("tool_use", 9)
    assert claude.violations == []


async def test_models_tokens_and_errors(claude: AnthropicUpstream, client: anthropic.AsyncAnthropic) -> None:
    claude.always(models(*(f"c-{number}" for number in range(7))), on="/models")
    assert [model.id async for model in client.models.list(limit=3)] == [f"c-{number}" for number in range(7)]
    assert (await client.messages.count_tokens(model="m", messages=QUESTION)).input_tokens == 17
    claude.reply(failure(529), failure(429, retry_after="3"), on="/messages")
    with pytest.raises(anthropic.APIStatusError) as overloaded:
        await client.messages.create(model="m", max_tokens=9, messages=QUESTION)
    assert (overloaded.value.status_code, overloaded.value.request_id) == (529, "req_loopback_1")
    with pytest.raises(anthropic.RateLimitError) as limited:
        await client.messages.create(model="m", max_tokens=9, messages=QUESTION)
    assert limited.value.response.headers["retry-after"] == "3"
    with pytest.raises(anthropic.AuthenticationError):
        await client.with_options(api_key="other").messages.create(model="m", max_tokens=9, messages=QUESTION)


CALLED: Any = {"role": "assistant", "content": [tool_use("f", {})]}
RESULT: Any = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "1"}
THINK: Any = {"type": "enabled", "budget_tokens": 1024}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no limit": ({"max_tokens": None}, "max_tokens"),
    "a limit of nothing": ({"max_tokens": 0}, "max_tokens"),
    "nothing said": ({"messages": []}, "at least one message"),
    "a system message": ({"messages": [{"role": "system", "content": "x"}, *QUESTION]}, "Unexpected role"),
    "empty text": ({"messages": [{"role": "user", "content": ""}]}, "non-empty"),
    "blank text": ({"messages": [{"role": "user", "content": [text(" ")]}]}, "non-whitespace"),
    "an unknown member": ({"x_vendor": 1}, "x_vendor: Extra inputs"),
    "a temperature of OpenAI's": ({"temperature": 1.5}, "temperature"),
    "a call without a result": ({"messages": [*QUESTION, CALLED, *QUESTION]}, "without `tool_result`"),
    "a result without a call": ({"messages": [{"role": "user", "content": [RESULT]}]}, "unexpected `tool_use_id`"),
    "a result behind text": (
        {"messages": [*QUESTION, CALLED, {"role": "user", "content": [text("a"), RESULT]}]},
        "must come before",
    ),
    "two results": ({"messages": [*QUESTION, CALLED, {"role": "user", "content": [RESULT, RESULT]}]}, "single result"),
    "a forged thought": (
        {"messages": [*QUESTION, {"role": "assistant", "content": [{**thought("a"), "thinking": "b"}, text("c")]}]},
        "Invalid `signature`",
    ),
    "a turn of calls without its thought": (
        {"messages": [*QUESTION, CALLED, {"role": "user", "content": [RESULT]}], "thinking": THINK, "max_tokens": 2048},
        "must start with a thinking block",
    ),
    "a budget beyond the limit": ({"thinking": THINK, "max_tokens": 1024}, "greater than"),
    "a cold thinker": ({"thinking": THINK, "max_tokens": 2048, "temperature": 0}, "temperature"),
    "a choice of no tools": ({"tool_choice": {"type": "any"}}, "while providing tools"),
    "a choice of another tool": ({"tools": TOOLS, "tool_choice": {"type": "tool", "name": "g"}}, "not found"),
    "a tool without a schema": ({"tools": [{"name": "f"}]}, "input_schema"),
    "two tools of a name": ({"tools": TOOLS * 2}, "unique"),
    "an image in an answer": (
        {"messages": [*QUESTION, {"role": "assistant", "content": [{"type": "image", "source": {}}]}]},
        "tag not found",
    ),
    "an image of no kind": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "source": {"type": "base64", "media_type": "image/tiff", "data": "AA=="}}
                    ],
                }
            ]
        },
        "media_type",
    ),
}


@pytest.mark.parametrize(("members", "said"), REFUSED.values(), ids=REFUSED)
async def test_it_refuses_what_anthropic_refuses(
    claude: AnthropicUpstream, client: anthropic.AsyncAnthropic, members: dict[str, Any], said: str
) -> None:
    body = {"model": "m", "max_tokens": 9, "messages": QUESTION, **members}
    body = {name: value for name, value in body.items() if value is not None}
    with pytest.raises(anthropic.BadRequestError) as refused:
        await client.post("/v1/messages", body=body, cast_to=anthropic.types.Message)
    assert said in refused.value.message
    assert len(claude.violations) == 1
