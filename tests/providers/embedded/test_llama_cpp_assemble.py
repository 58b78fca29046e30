"""Whole replies out of streams, from events as llama.cpp sends them."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import openai.types.chat
import pytest

from llama_stack.providers._shared import llama_cpp_assemble as assemble
from llama_stack_api.errors import ProviderError, ProviderStreamBroken

pytestmark = pytest.mark.anyio

HEAD = {"id": "chatcmpl-1", "created": 1, "model": "m", "object": "chat.completion.chunk"}
USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}


def chunk(finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return HEAD | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def call(index: int, **piece: Any) -> dict[str, Any]:
    return chunk(tool_calls=[{"index": index, **piece}])


async def sent(*events: Any, done: bool = True, cut: int = 7) -> AsyncIterator[bytes]:
    """The events as a body, in pieces that respect no boundary."""
    encoded = [event if isinstance(event, bytes) else msgspec.json.encode(event) for event in events]
    data = b"".join(b"data: " + event + b"\n\n" for event in [*encoded, *([b"[DONE]"] if done else [])])
    for start in range(0, len(data), cut):
        yield data[start : start + cut]


END = HEAD | {"choices": [], "usage": USAGE}


@pytest.mark.parametrize("cut", [1, 7, 10_000])
async def test_joins_the_pieces_of_tool_calls(cut: int) -> None:
    reply = await assemble.chat_completion(
        sent(
            chunk(role="assistant", content=None),
            call(0, id="a", type="function", function={"name": "one", "arguments": ""}),
            call(0, function={"arguments": '{"x"'}),
            call(1, id="b", type="function", function={"name": "two", "arguments": "{}"}),
            call(0, function={"arguments": ": 1}"}),
            chunk("tool_calls"),
            END,
            cut=cut,
        ),
        "p",
    )
    choice = openai.types.chat.ChatCompletion.model_validate(reply).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert [(made.id, made.function.name, made.function.arguments) for made in choice.message.tool_calls or ()] == [
        ("a", "one", '{"x": 1}'),
        ("b", "two", "{}"),
    ]
    assert reply["usage"] == USAGE


async def test_keeps_reasoning_apart_from_content() -> None:
    events = [chunk(reasoning_content="think"), chunk(reasoning_content="ing"), chunk(content="so"), chunk("stop"), END]
    message = (await assemble.chat_completion(sent(*events), "p"))["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("thinking", "so")


@pytest.mark.parametrize(
    "events",
    [
        [chunk(content="half")],
        [chunk(content="half"), END],
        [chunk(content="x"), chunk("stop")],
        [b"rubbish", chunk("stop"), END],
    ],
    ids=["cut", "no-finish", "no-usage", "rubbish"],
)
async def test_a_short_answer_never_looks_complete(events: list[Any]) -> None:
    with pytest.raises(ProviderStreamBroken):
        await assemble.chat_completion(sent(*events), "p")
    with pytest.raises(ProviderStreamBroken):
        await assemble.completion(sent(chunk("stop"), END, done=False), "p")


async def test_an_error_in_the_stream_is_raised() -> None:
    error = {"error": {"code": 500, "message": "decode failed", "type": "server_error"}}
    with pytest.raises(ProviderError, match="decode failed"):
        await assemble.chat_completion(sent(chunk(content="half"), error), "p")
