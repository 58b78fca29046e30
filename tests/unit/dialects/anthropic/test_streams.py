"""A whole reply and its stream, cut anywhere, are the same through the SDKs' own accumulators."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from llama_stack.dialects.anthropic.chunks import ChatChunks
from llama_stack.dialects.anthropic.events import MessageEvents
from llama_stack.dialects.anthropic.from_chat import message_of
from llama_stack.dialects.anthropic.from_messages import completion_of
from tests.unit.dialects.anthropic.streams import (
    accumulated_completion,
    accumulated_message,
    chunks_of,
    completions,
    events_of,
    messages,
)

Json = dict[str, Any]


def without(value: Any, *names: str) -> Any:
    """JSON without members that are null or named."""
    if isinstance(value, dict):
        return {k: without(v, *names) for k, v in value.items() if v is not None and k not in names}
    return [without(each, *names) for each in value] if isinstance(value, list) else value


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_a_completion_and_its_stream_are_one_message(data: st.DataObject) -> None:
    completion = data.draw(completions())
    stream = MessageEvents(model="m")
    events = [event for chunk in data.draw(chunks_of(completion)) for event in stream.feed(chunk)]
    events += stream.finish()
    assert_in_order(events)
    assert without(accumulated_message(events), "id") == without(message_of(completion, model="m"), "id")


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_a_message_and_its_stream_are_one_completion(data: st.DataObject) -> None:
    message = data.draw(messages())
    stream = ChatChunks(created=5, include_usage=True)
    chunks = [chunk for event in data.draw(events_of(message)) for chunk in stream.feed(event)]
    assert stream.complete
    chunks += stream.finish()
    assert said(accumulated_completion(chunks)) == said(completion_of(message, created=5))


PASSED_OVER = ("parsed", "parsed_arguments", "stop_reason", "native_finish_reason")


def said(completion: Json) -> Json:
    """A completion without what only accumulators add or pass over, and arguments as what they mean."""
    found: Json = without(completion, "object", "index", *PASSED_OVER)
    message = found["choices"][0]["message"]
    message["content"] = message.get("content") or None
    for call in message.get("tool_calls", ()):
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return found


def assert_in_order(events: list[Json]) -> None:
    """One block at a time, each begun and ended, between the message's own events."""
    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["message_start", "ping"]
    assert kinds[-2:] == ["message_delta", "message_stop"]
    index, is_open = 0, False
    for event in events[2:-2]:
        assert event["index"] == index
        assert is_open == (event["type"] != "content_block_start")
        is_open = event["type"] != "content_block_stop"
        index += not is_open
    assert not is_open
