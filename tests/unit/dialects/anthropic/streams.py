"""Whole replies, generated, and their streams, cut anywhere; and what the SDKs' own accumulators make of streams."""

from __future__ import annotations

import json
from typing import Any

from anthropic._models import construct_type
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from tests.unit.dialects.anthropic.conversations import inputs, names, texts

Json = dict[str, Any]

FINISH = ("stop", "length", "content_filter")


@st.composite
def completions(draw: st.DrawFn) -> Json:
    """A chat completion, as upstreams answer."""
    message: Json = {"role": "assistant", "content": draw(st.none() | texts)}
    if draw(st.booleans()):
        message["reasoning_content"] = draw(texts)
        if draw(st.booleans()):
            thinking = {"type": "thinking", "thinking": message["reasoning_content"], "signature": "c2ln"}
            message["thinking_blocks"] = [thinking, {"type": "redacted_thinking", "data": "eA=="}]
    arguments = st.one_of(inputs.map(json.dumps), st.sampled_from(["", "oops", '"{}"', "null", "[1]"]))
    calls = [
        {"id": f"call_{n}", "type": "function", "function": {"name": draw(names), "arguments": draw(arguments)}}
        for n in range(draw(st.integers(0, 3)))
    ]
    if calls:
        message["tool_calls"] = calls
    finish = "tool_calls" if calls else draw(st.sampled_from(FINISH))
    return {
        "id": "chatcmpl-7",
        "model": "upstream",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 5}},
    }


@st.composite
def messages(draw: st.DrawFn) -> Json:
    """A message, as Anthropic answers."""
    content: list[Json] = []
    if draw(st.booleans()):
        content.append({"type": "thinking", "thinking": draw(texts), "signature": "c2ln"})
        content += [{"type": "redacted_thinking", "data": "eA=="}] * draw(st.integers(0, 1))
    content += [{"type": "text", "text": draw(texts)} for _ in range(draw(st.integers(0, 2)))]
    uses = draw(st.lists(st.tuples(names, inputs), max_size=3))
    content += [{"type": "tool_use", "id": f"t{n}", "name": name, "input": i} for n, (name, i) in enumerate(uses)]
    reasons = ["end_turn", "max_tokens", "stop_sequence", "refusal", "pause_turn", "model_context_window_exceeded"]
    reason = "tool_use" if uses else draw(st.sampled_from(reasons))
    counts = {"input_tokens": 3, "output_tokens": 8, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 1}
    return {
        "id": "msg_7",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": content,
        "stop_reason": reason,
        "stop_sequence": "END" if reason == "stop_sequence" else None,
        "usage": counts,
    }


@st.composite
def cut(draw: st.DrawFn, text: str) -> list[str]:
    """A text in pieces."""
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


@st.composite
def chunks_of(draw: st.DrawFn, completion: Json) -> list[Json]:
    """The chunks of a completion: texts cut anywhere, calls mixed with each other, several changes in one chunk."""
    choice = completion["choices"][0]
    said = choice["message"]
    reasoning = draw(st.sampled_from(["reasoning_content", "reasoning"]))
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    deltas += [{reasoning: piece} for piece in draw(cut(said.get("reasoning_content") or ""))]
    deltas += [{"thinking_blocks": [{"index": n, **b}]} for n, b in enumerate(said.get("thinking_blocks", ()))]
    deltas += [{"content": piece} for piece in draw(cut(said["content"] or ""))]
    calls = said.get("tool_calls", ())
    deltas += [{"tool_calls": [_begun(n, call)]} for n, call in enumerate(calls)]
    pieces = [draw(cut(call["function"]["arguments"])) for call in calls]
    for n in draw(st.permutations([n for n, cuts in enumerate(pieces) for _ in cuts])):
        deltas.append({"tool_calls": [{"index": n, "function": {"arguments": pieces[n].pop(0)}}]})
    chunks = [{"id": completion["id"], "choices": [{"index": 0, "delta": d}]} for d in _joined(draw, deltas)]
    chunks[-1]["choices"][0]["finish_reason"] = choice["finish_reason"]
    return [*chunks, {"id": completion["id"], "choices": [], "usage": completion["usage"]}]


def _begun(index: int, call: Json) -> Json:
    return {"index": index, "id": call["id"], "function": {"name": call["function"]["name"], "arguments": ""}}


def _joined(draw: st.DrawFn, deltas: list[Json]) -> list[Json]:
    """Some deltas in a row that have no member in common, as one."""
    joined = [deltas[0]]
    for delta in deltas[1:]:
        if not joined[-1].keys() & delta.keys() and draw(st.booleans()):
            joined[-1] = {**joined[-1], **delta}
        else:
            joined.append(delta)
    return joined


@st.composite
def events_of(draw: st.DrawFn, message: Json) -> list[Json]:
    """The events of a message, as Anthropic streams it."""
    counts = message["usage"]
    head = {
        **message,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**counts, "output_tokens": 1},
    }
    events: list[Json] = [{"type": "message_start", "message": head}, {"type": "ping"}]
    for index, block in enumerate(message["content"]):
        start, deltas = _begin(block)
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        for kind, member, text in deltas:
            pieces = [text] if member == "signature" else draw(cut(text))
            events += [
                {"type": "content_block_delta", "index": index, "delta": {"type": kind, member: piece}}
                for piece in pieces
            ]
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": message["stop_sequence"]}
    usage = {"output_tokens": counts["output_tokens"]}
    return [*events, {"type": "message_delta", "delta": delta, "usage": usage}, {"type": "message_stop"}]


def _begin(block: Json) -> tuple[Json, list[tuple[str, str, str]]]:
    match block["type"]:
        case "text":
            return {**block, "text": ""}, [("text_delta", "text", block["text"])]
        case "thinking":
            deltas = [
                ("thinking_delta", "thinking", block["thinking"]),
                ("signature_delta", "signature", block["signature"]),
            ]
            return {**block, "thinking": "", "signature": ""}, deltas
        case "tool_use":
            given = json.dumps(block["input"]) if block["input"] else ""
            return {**block, "input": {}}, [("input_json_delta", "partial_json", given)]
    return block, []


def accumulated_message(events: list[Json]) -> Json:
    """What the `anthropic` package makes of a stream."""
    snapshot, buffers = None, dict[int, bytes]()
    for event in events:
        if event["type"] != "ping":
            typed: Any = construct_type(type_=RawMessageStreamEvent, value=event)
            snapshot = accumulate_event(event=typed, current_snapshot=snapshot, json_bufs=buffers)
    assert snapshot is not None
    return snapshot.to_dict(mode="json")


def accumulated_completion(chunks: list[Json]) -> Json:
    """What the `openai` package makes of a stream."""
    state: ChatCompletionStreamState[Any] = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(ChatCompletionChunk.construct(**_typed(chunk)))
    return state.current_completion_snapshot.to_dict(mode="json")


def _typed(chunk: Json) -> Json:
    typed: Any = construct_type(type_=ChatCompletionChunk, value=chunk)
    return dict(typed)
