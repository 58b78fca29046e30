"""Messages over an OpenAI-compatible upstream and over one that speaks Messages itself, through Anthropic's client."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import pytest
from anthropic.types import MessageParam

from tests.support.anthropic_upstream import MessagesWire, counts, failure, says, thought, tool_use
from tests.support.messaging import Messaging
from tests.support.upstream import Answer, Recorded, Tool, Wire, calls, error, rate_limited, text

pytestmark = pytest.mark.anyio

HI: list[MessageParam] = [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize("model", ["chat", "claude"])
async def test_a_whole_message_bears_the_name_that_was_asked_for(served: Messaging, model: str) -> None:
    served.chat.always(text("Hello there."))
    served.claude.always(says("Hello there."))
    message = await served.client.messages.create(model=model, max_tokens=10, messages=HI)
    assert message.model == model
    assert message.stop_reason == "end_turn"
    assert [block.text for block in message.content if block.type == "text"] == ["Hello there."]
    assert message.usage.input_tokens == 9
    assert message.usage.output_tokens > 0


@pytest.mark.parametrize("model", ["chat", "claude"])
async def test_a_stream_adds_up_to_the_message(served: Messaging, model: str) -> None:
    served.chat.always(text("Hello there, you."))
    served.claude.always(says("Hello there, you.", wire=MessagesWire(split_bytes=7)))
    async with served.client.messages.stream(model=model, max_tokens=10, messages=HI) as stream:
        texts = [piece async for piece in stream.text_stream]
        message = await stream.get_final_message()
    assert "".join(texts) == "Hello there, you."
    assert len(texts) > 1
    assert message.model == model
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens > 0


async def test_a_name_of_anthropics_is_asked_of_anthropic(served: Messaging) -> None:
    served.claude.always(says("Me."))
    raw = await served.client.messages.with_raw_response.create(model="claude-opus-9", max_tokens=10, messages=HI)
    assert (await raw.parse()).model == "claude-opus-9"
    assert raw.headers["x-llama-stack-model"] == "anthropic/claude-opus-9"


async def test_a_request_to_a_messages_upstream_goes_through_untouched(served: Messaging) -> None:
    served.claude.always(says(thought("Hm."), "Yes."))
    sent: Any = {
        "max_tokens": 3000,
        "messages": HI,
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}],
    }
    message = await served.client.beta.messages.create(
        model="claude",
        **sent,
        betas=["some-beta-2026-01-01"],
        extra_body={"what_nobody_knows": {"a": 1}},
    )
    asked = served.claude.last
    assert served.claude.violations == []
    assert asked.headers["anthropic-beta"] == "some-beta-2026-01-01"
    assert asked.body == {**sent, "model": "claude-1", "what_nobody_knows": {"a": 1}}
    assert [block.type for block in message.content] == ["thinking", "text"]


@pytest.mark.parametrize("model", ["chat", "claude"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_tools_of_the_client_end_the_turn(served: Messaging, model: str, streamed: bool) -> None:
    served.chat.always(calls(Tool("weather", {"city": "Graz"}, id="call_1")))
    served.claude.always(says(tool_use("weather", {"city": "Graz"})))
    tools: list[anthropic.types.ToolParam] = [
        {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
    ]
    message: Any
    if streamed:
        async with served.client.messages.stream(model=model, max_tokens=50, messages=HI, tools=tools) as stream:
            message = await stream.get_final_message()
    else:
        message = await served.client.messages.create(model=model, max_tokens=50, messages=HI, tools=tools)
    assert message.stop_reason == "tool_use"
    (use,) = (block for block in message.content if block.type == "tool_use")
    assert (use.name, use.input) == ("weather", {"city": "Graz"})


async def test_a_cut_stream_is_an_error_of_the_stream(served: Messaging) -> None:
    served.chat.always(text("One two three four", wire=Wire(cut_after=3)))
    served.claude.always(says("One two three four", wire=MessagesWire(end_after=4)))
    for model in ("chat", "claude"):
        async with served.client.messages.stream(model=model, max_tokens=10, messages=HI) as stream:
            with pytest.raises(anthropic.APIStatusError) as caught:
                await stream.get_final_message()
        assert caught.value.body["error"]["type"] == "api_error"  # type: ignore[index]


@pytest.mark.parametrize("model", ["chat", "claude"])
async def test_a_client_that_hangs_up_cancels_the_upstream(served: Messaging, model: str) -> None:
    served.chat.always(text("One two three four", wire=Wire(stall_after=3)))
    served.claude.always(says("One two three four", wire=MessagesWire(stall_after=4)))
    upstream = served.chat if model == "chat" else served.claude
    async with served.client.messages.stream(model=model, max_tokens=10, messages=HI) as stream:
        async for piece in stream.text_stream:
            assert piece
            break
    await upstream.last.wait_hung_up()


@pytest.mark.parametrize("model", ["chat", "claude"])
async def test_rate_limits_say_how_long_to_wait(served: Messaging, model: str) -> None:
    served.chat.always(rate_limited("30"))
    served.claude.always(failure(429, retry_after="30"))
    with pytest.raises(anthropic.RateLimitError) as caught:
        await served.client.messages.create(model=model, max_tokens=10, messages=HI)
    assert caught.value.response.headers["retry-after"] == "30"
    assert caught.value.body["error"]["type"] == "rate_limit_error"  # type: ignore[index]


@pytest.mark.parametrize("model", ["chat", "claude"])
async def test_a_dead_upstream_is_a_502(served: Messaging, model: str) -> None:
    (served.chat if model == "chat" else served.claude).always(error(500, "Broken."))
    with pytest.raises(anthropic.InternalServerError) as caught:
        await served.client.messages.create(model=model, max_tokens=10, messages=HI)
    assert caught.value.status_code == 502


async def test_too_many_tokens_for_the_upstream_are_left_out(served: Messaging) -> None:
    served.chat.reply(error(400, "max_completion_tokens is too large: 128000."))
    served.chat.always(text("Short."))
    message = await served.client.messages.create(model="chat", max_tokens=128_000, messages=HI, timeout=30)
    assert [block.text for block in message.content if block.type == "text"] == ["Short."]
    first, second = (request.body for request in served.chat.requests if request.path.endswith("/completions"))
    assert first["max_completion_tokens"] == 128_000
    assert "max_completion_tokens" not in second


async def test_tokens_are_counted_by_those_who_can(served: Messaging) -> None:
    served.claude.reply(counts(17), on="/count_tokens")
    exact = await served.client.messages.with_raw_response.count_tokens(model="claude", messages=HI)
    estimate = await served.client.messages.with_raw_response.count_tokens(model="chat", messages=HI)
    assert (await exact.parse()).input_tokens == 17
    assert "x-llama-stack-token-count" not in exact.headers
    assert 1 < (await estimate.parse()).input_tokens < 10
    assert estimate.headers["x-llama-stack-token-count"] == "estimated"


async def test_an_unknown_model_is_a_404(served: Messaging) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        await served.client.messages.create(model="nobody", max_tokens=10, messages=HI)
    assert caught.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]


async def test_many_at_once_keep_their_answers_apart(served: Messaging) -> None:
    served.claude.always(lambda request: says(request.body["messages"][0]["content"])(request))

    async def ask(number: int) -> str:
        said = f"number {number}"
        async with served.client.messages.stream(
            model="claude", max_tokens=10, messages=[{"role": "user", "content": said}]
        ) as stream:
            return await stream.get_final_text()

    assert await asyncio.gather(*map(ask, range(20))) == [f"number {number}" for number in range(20)]


async def test_a_model_that_knows_no_effort_and_less_tokens_is_asked_without(served: Messaging) -> None:
    """Once: from then on at once."""

    answer = text("Hi")

    def picky(request: Recorded) -> Answer:
        """96000 tokens are too many, any effort is too much."""
        if request.body.get("max_completion_tokens") == 96_000:
            return error(400, message="max_completion_tokens is too large: 96000.")
        if "reasoning_effort" in request.body:
            return error(400, message="Unsupported parameter.", param="reasoning_effort")
        return answer(request)

    served.chat.always(picky, on="/chat/completions")
    wanted: Any = {"output_config": {"effort": "high"}, "max_tokens": 96_000, "messages": HI, "timeout": 60.0}
    for rounds in (3, 1):
        served.chat.requests.clear()
        message = await served.client.messages.create(model="chat", **wanted)
        assert message.content[0].type == "text"
        assert len(served.chat.requests) == rounds
    served.chat.requests.clear()
    await served.client.messages.create(model="chat", max_tokens=10, messages=HI)
    assert "max_completion_tokens" in served.chat.requests[0].body, "a smaller limit is another wish"
