"""Whole and streamed chat completions as messages: what differs between upstreams."""

from __future__ import annotations

from typing import Any

import pytest

from llama_stack.dialects.anthropic.events import MessageEvents
from llama_stack.dialects.anthropic.from_chat import message_of
from llama_stack.dialects.anthropic.sse import data_of, encoded
from tests.unit.dialects.anthropic.streams import accumulated_message

Json = dict[str, Any]


def message(said: Json, finish: str = "stop", **more: Any) -> Json:
    choice = {"index": 0, "message": {"role": "assistant", **said}, "finish_reason": finish, **more}
    return message_of({"id": "chatcmpl-1", "choices": [choice]}, model="m", stop_sequences=["END"])


def streamed(*chunks: Json) -> Json:
    return accumulated_message(events_of(*chunks))


def events_of(*chunks: Json) -> list[Json]:
    stream = MessageEvents(model="m", stop_sequences=["END"], message_id="msg_1")
    return [event for chunk in chunks for event in stream.feed(chunk)] + stream.finish()


def chunk(finish: str | None = None, /, **delta: Any) -> Json:
    return {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def called(arguments: str | None = None, *, index: int | None = 0, call_id: str = "", name: str = "") -> Json:
    """A chunk with a piece of a call."""
    function = {"arguments": arguments, **({"name": name} if name else {})}
    piece: Json = {"function": function, **({"id": call_id} if call_id else {})}
    return chunk(tool_calls=[piece if index is None else {"index": index, **piece}])


@pytest.mark.parametrize(
    ("finish", "more", "stop"),
    [
        ("stop", {}, ("end_turn", None)),
        ("length", {}, ("max_tokens", None)),
        ("content_filter", {}, ("refusal", None)),
        ("tool_calls", {}, ("end_turn", None)),
        ("eos", {}, ("end_turn", None)),
        ("stop", {"stop_reason": "END"}, ("stop_sequence", "END")),
        ("stop", {"matched_stop": "END"}, ("stop_sequence", "END")),
        ("stop", {"stop_reason": 128009}, ("end_turn", None)),
        ("stop", {"matched_stop": "</s>"}, ("end_turn", None)),
        ("stop", {"native_finish_reason": "pause_turn"}, ("pause_turn", None)),
        ("length", {"native_finish_reason": "model_context_window_exceeded"}, ("model_context_window_exceeded", None)),
    ],
)
def test_why_it_stopped(finish: str, more: Json, stop: tuple[str, str | None]) -> None:
    last = chunk(finish)
    last["choices"][0] |= more
    for found in (message({"content": "Hi"}, finish, **more), streamed(chunk(content="Hi"), last)):
        assert (found["stop_reason"], found.get("stop_sequence")) == stop


def test_calls_of_an_upstream_that_says_stop() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    found = message({"content": None, "tool_calls": [call]})
    assert found["stop_reason"] == "tool_use"
    assert found["content"] == [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]
    legacy = message({"function_call": {"name": "f", "arguments": '{"a":1}'}}, "function_call")
    assert (legacy["stop_reason"], legacy["content"][0]["input"]) == ("tool_use", {"a": 1})


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ('{"a": 1}', {"a": 1}),
        ("", {}),
        (None, {}),
        ("null", {}),
        ('"{\\"a\\": 1}"', {"a": 1}),
        ("a = 1", {"arguments": "a = 1"}),
        ("[1]", {"arguments": "[1]"}),
    ],
)
def test_arguments_that_are_no_object(arguments: str | None, given: Json) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    assert message({"tool_calls": [call]})["content"][0]["input"] == given
    assert streamed(called(call_id="c", name="f"), called(arguments))["content"][0]["input"] == given


def test_what_is_written_behind_the_arguments_is_dropped() -> None:
    assert streamed(called('{"a": "}"} and', call_id="c", name="f"), called(" more"))["content"][0]["input"] == {
        "a": "}"
    }


def test_a_refusal() -> None:
    for found in (message({"refusal": "No."}), streamed(chunk(refusal="No"), chunk("stop", refusal="."))):
        assert found["content"][0]["text"] == "No."
        assert found["stop_reason"] == "refusal"
        assert found["stop_details"]["type"] == "refusal"


def test_usage_parts_the_prompt() -> None:
    details = {"cached_tokens": 5, "cache_write_tokens": 2}
    counts = {"prompt_tokens": 10, "completion_tokens": 4, "prompt_tokens_details": details}
    counts["completion_tokens_details"] = {"reasoning_tokens": 3}
    assert message_of({"choices": [], "usage": counts}, model="m")["usage"] == {
        "input_tokens": 3,
        "output_tokens": 4,
        "cache_creation_input_tokens": 2,
        "cache_read_input_tokens": 5,
        "output_tokens_details": {"thinking_tokens": 3},
    }
    assert streamed(chunk(content="Hi"), {"choices": [], "usage": counts})["usage"]["input_tokens"] == 3


def test_a_stream_that_never_tells_its_usage_or_its_end() -> None:
    found = streamed(chunk(content="Hi"))
    assert found["stop_reason"] == "end_turn"
    assert (found["usage"]["input_tokens"], found["usage"]["output_tokens"]) == (0, 0)
    assert [event["type"] for event in events_of()] == ["message_start", "ping", "message_delta", "message_stop"]


def test_citations() -> None:
    cited = {"start_index": 0, "end_index": 2, "url": "https://x.test", "title": "T"}
    annotations = [{"type": "url_citation", "url_citation": cited}]
    whole = message({"content": "So it is.", "annotations": annotations})
    piecewise = streamed(chunk(content="So it"), chunk(content=" is.", annotations=annotations))
    for found in (whole, piecewise):
        assert found["content"][0]["citations"] == [
            {
                "type": "web_search_result_location",
                "url": "https://x.test",
                "title": "T",
                "cited_text": "So",
                "encrypted_index": "",
            }
        ]


def test_several_changes_in_one_chunk_and_content_in_parts() -> None:
    pieces = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Hi"}]
    first = chunk("tool_calls", content=pieces, tool_calls=[{"index": 0, "id": "c", "function": {"name": "f"}}])
    assert [block["type"] for block in streamed(first)["content"]] == ["thinking", "text", "tool_use"]
    assert message({"content": pieces})["content"][0] == {"type": "thinking", "thinking": "Hm.", "signature": ""}


def test_calls_that_come_in_turns_are_told_one_after_the_other() -> None:
    events = events_of(
        called('{"a"', index=0, call_id="x", name="f"),
        called('{"b"', index=1, call_id="y", name="g"),
        called(":1}", index=0),
        called(":2}", index=1),
    )
    order = [event["index"] for event in events if "index" in event]
    assert order == sorted(order)
    assert [block["input"] for block in accumulated_message(events)["content"]] == [{"a": 1}, {"b": 2}]


def numbered(*indices: int | None, again: str = "") -> list[Json]:
    """Two calls, the first in two pieces, with these indices."""
    first, second, third = indices
    return [
        called('{"a":', index=first, call_id="x", name="f"),
        called("1}", index=second, call_id=again),
        called("{}", index=third, call_id="y", name="g"),
    ]


@pytest.mark.parametrize(
    "chunks",
    [
        numbered(None, None, None),
        numbered(None, None, None, again="x"),
        numbered(0, 0, 0),
        numbered(3, 3, 4, again="x"),
    ],
)
def test_calls_with_odd_indices(chunks: list[Json]) -> None:
    content = streamed(*chunks)["content"]
    assert [(block["id"], block["name"], block["input"]) for block in content] == [("x", "f", {"a": 1}), ("y", "g", {})]


def test_thinking_is_signed_when_its_block_comes() -> None:
    kept = [{"index": 0, "type": "thinking", "thinking": "Hm.", "signature": "c2ln"}]
    told_before = streamed(chunk(reasoning_content="H"), chunk(reasoning_content="m."), chunk(thinking_blocks=kept))
    in_pieces = streamed(
        chunk(reasoning_content="Hm.", thinking_blocks=[{"type": "thinking", "thinking": "Hm."}]),
        chunk(thinking_blocks=[{"type": "thinking", "thinking": "", "signature": "c2ln"}]),
    )
    for found in (told_before, in_pieces, streamed(chunk(thinking_blocks=kept))):
        assert found["content"] == [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}]


def test_other_choices_are_passed_over() -> None:
    other = {"choices": [{"index": 1, "delta": {"content": "No"}}]}
    assert streamed(chunk(content="Hi"), other)["content"][0]["text"] == "Hi"


def test_events_are_named_on_the_wire() -> None:
    wire = encoded({"type": "ping"})
    assert wire == b'event: ping\ndata: {"type":"ping"}\n\n'
    assert data_of(wire) == b'{"type":"ping"}'
