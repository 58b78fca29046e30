"""Whole and streamed messages as chat completions."""

from __future__ import annotations

from typing import Any

import pytest

from llama_stack.dialects.anthropic.chunks import ChatChunks
from llama_stack.dialects.anthropic.from_messages import completion_of
from tests.unit.dialects.anthropic.streams import accumulated_completion

Json = dict[str, Any]


def completion(*content: Json, **more: Any) -> Json:
    return completion_of({"id": "msg_1", "model": "claude", "content": list(content), **more}, created=5)


def start(**usage: int) -> Json:
    return {"type": "message_start", "message": {"id": "msg_1", "model": "claude", "usage": usage}}


def begun(index: int, **block: Any) -> Json:
    return {"type": "content_block_start", "index": index, "content_block": block}


def added(index: int, **delta: Any) -> Json:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def over(index: int) -> Json:
    return {"type": "content_block_stop", "index": index}


def stop(reason: str, sequence: str | None = None, **usage: int) -> Json:
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": sequence}, "usage": usage}


def chunks_of(*events: Json, include_usage: bool = False) -> list[Json]:
    stream = ChatChunks(created=5, include_usage=include_usage)
    return [chunk for event in events for chunk in stream.feed(event)] + stream.finish()


def test_a_whole_message() -> None:
    found = completion(
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "eA=="},
        {"type": "text", "text": "So "},
        {"type": "text", "text": "it is.", "citations": [{"url": "https://x.test", "title": "T"}]},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": "ü"}},
        stop_reason="tool_use",
        usage={"input_tokens": 3, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 1, "output_tokens": 4},
    )
    cited = {"start_index": 3, "end_index": 9, "url": "https://x.test", "title": "T"}
    assert found["choices"] == [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "So it is.",
                "refusal": None,
                "reasoning_content": "Hm.",
                "thinking_blocks": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                    {"type": "redacted_thinking", "data": "eA=="},
                ],
                "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": '{"a":"ü"}'}}],
                "annotations": [{"type": "url_citation", "url_citation": cited}],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        }
    ]
    assert (found["id"], found["created"], found["model"]) == ("chatcmpl-1", 5, "claude")
    counts = found["usage"]
    assert (counts["prompt_tokens"], counts["completion_tokens"], counts["total_tokens"]) == (6, 4, 10)
    assert counts["prompt_tokens_details"] == {"cached_tokens": 2, "cache_write_tokens": 1}


@pytest.mark.parametrize(
    ("reason", "members"),
    [
        ("end_turn", {"finish_reason": "stop"}),
        ("max_tokens", {"finish_reason": "length"}),
        ("stop_sequence", {"finish_reason": "stop", "stop_reason": "END"}),
        ("refusal", {"finish_reason": "content_filter"}),
        ("pause_turn", {"finish_reason": "stop", "native_finish_reason": "pause_turn"}),
        (
            "model_context_window_exceeded",
            {"finish_reason": "length", "native_finish_reason": "model_context_window_exceeded"},
        ),
        ("some_new_reason", {"finish_reason": "stop"}),
    ],
)
def test_why_it_stopped(reason: str, members: Json) -> None:
    sequence = "END" if reason == "stop_sequence" else None
    whole = completion({"type": "text", "text": "Hi"}, stop_reason=reason, stop_sequence=sequence)["choices"][0]
    last = chunks_of(start(), stop(reason, sequence))[-1]["choices"][0]
    for choice in (whole, last):
        names = ("finish_reason", "stop_reason", "native_finish_reason")
        assert {name: choice[name] for name in names if name in choice} == members


def test_a_message_that_says_nothing() -> None:
    message = completion(stop_reason="end_turn")["choices"][0]["message"]
    assert message == {"role": "assistant", "content": None, "refusal": None}


def test_a_stream() -> None:
    chunks = chunks_of(
        start(input_tokens=3, output_tokens=1),
        {"type": "ping"},
        begun(0, type="thinking", thinking="", signature=""),
        added(0, type="thinking_delta", thinking="Hm."),
        added(0, type="signature_delta", signature="c2ln"),
        over(0),
        begun(1, type="text", text="", citations=None),
        added(1, type="text_delta", text="So"),
        added(1, type="citations_delta", citation={"url": "https://x.test", "title": "T"}),
        over(1),
        begun(2, type="tool_use", id="t", name="f", input={}),
        over(2),
        begun(3, type="tool_use", id="u", name="g", input={}),
        added(3, type="input_json_delta", partial_json='{"a"'),
        added(3, type="input_json_delta", partial_json=":1}"),
        over(3),
        {"type": "a_new_event"},
        stop("tool_use", output_tokens=9),
        {"type": "message_stop"},
        include_usage=True,
    )
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [chunk["usage"]["completion_tokens"] for chunk in chunks if "usage" in chunk] == [9]
    message = accumulated_completion(chunks)["choices"][0]["message"]
    assert message["reasoning_content"] == "Hm."
    assert message["thinking_blocks"][0]["signature"] == "c2ln"
    assert message["annotations"][0]["url_citation"]["end_index"] == 2
    functions = [
        (call["id"], call["function"]["name"], call["function"]["arguments"]) for call in message["tool_calls"]
    ]
    assert functions == [("t", "f", "{}"), ("u", "g", '{"a":1}')]


def test_usage_only_where_it_was_asked_for_and_whether_the_stream_is_whole() -> None:
    assert all("usage" not in chunk for chunk in chunks_of(start(), stop("end_turn")))
    stream = ChatChunks(created=5, include_usage=False)
    stream.feed(start())
    assert not stream.complete
    assert stream.finish()[0]["choices"][0]["finish_reason"] == "stop"
    assert stream.feed({"type": "message_stop"}) == []
    assert stream.complete
