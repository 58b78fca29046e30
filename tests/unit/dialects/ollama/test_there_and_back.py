"""A conversation there and back keeps its meaning; a whole reply is what its stream adds up to."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from llama_stack.dialects.ollama.chunks import OllamaChunks
from llama_stack.dialects.ollama.from_ollama import completion_of
from llama_stack.dialects.ollama.to_ollama import embed_request, ollama_request
from tests.support.ollama_upstream_contract import check_chat, check_embed
from tests.support.ollama_words import as_chat

TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
SOME = TEXT.filter(bool)
NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,15}", fullmatch=True)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)
ARGUMENTS = st.dictionaries(NAMES, VALUES, max_size=3)
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0="}}


@st.composite
def users(draw: st.DrawFn) -> list[dict[str, Any]]:
    text = draw(TEXT)
    content: Any = [{"type": "text", "text": text}, *[IMAGE] * draw(st.integers(1, 2))] if draw(st.booleans()) else text
    return [{"role": "user", "content": content}]


@st.composite
def assistants(draw: st.DrawFn) -> list[dict[str, Any]]:
    """An answer, perhaps with thoughts and calls, each of which has its result."""
    number = draw(st.integers(0, 10**9))
    calls = [
        {"id": f"call_{number}_{at}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for at, (name, given) in enumerate(draw(st.lists(st.tuples(NAMES, ARGUMENTS), max_size=2)))
    ]
    said: dict[str, Any] = {"role": "assistant", "content": draw(SOME)}
    if thought := draw(TEXT):
        said["reasoning_content"] = thought
    if calls:
        said["tool_calls"] = calls
        said["content"] = draw(st.none() | SOME)
    results = [{"role": "tool", "tool_call_id": call["id"], "content": draw(TEXT)} for call in calls]
    return [said, *results]


TURNS = st.lists(users() | assistants() | TEXT.map(lambda text: [{"role": "system", "content": text}]), max_size=5)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.sampled_from([0, 0.5, 2]),
        "top_p": st.sampled_from([0.1, 1]),
        "seed": st.integers(0, 2**31),
        "max_tokens": st.integers(1, 10_000),
        "stop": st.lists(SOME, min_size=1, max_size=3),
        "num_ctx": st.integers(1, 2**20),
        "top_k": st.integers(1, 100),
        "keep_alive": st.sampled_from([0, -1, "5m", "1h30m"]),
        "reasoning_effort": st.sampled_from(["none", "low", "medium", "high"]),
        "stream": st.just(True),
        "response_format": st.sampled_from(
            [{"type": "json_object"}, {"type": "json_schema", "json_schema": {"name": "schema", "schema": {"a": 1}}}]
        ),
    },
)


@settings(max_examples=40, deadline=None)
@given(TURNS, SETTINGS)
def test_a_request_keeps_its_meaning(turns: list[list[dict[str, Any]]], settings: dict[str, Any]) -> None:
    chat = {"model": "m", "messages": [message for turn in turns for message in turn], **settings}
    request = ollama_request(chat)
    check_chat(request)
    assert as_chat(request) == chat


@settings(max_examples=40, deadline=None)
@given(SETTINGS, st.dictionaries(NAMES, st.integers(), max_size=2))
def test_what_holds_for_all_requests_gives_way_to_what_one_says(settings: dict[str, Any], own: dict[str, int]) -> None:
    chat = {"model": "m", "messages": [], "options": own, **settings}
    standing = {"num_ctx": 512, "temperature": 0.9, **dict.fromkeys(own, 0)}
    request = ollama_request(chat, keep_alive="10m", options=standing)
    assert request["keep_alive"] == settings.get("keep_alive", "10m")
    assert request["options"]["num_ctx"] == settings.get("num_ctx", own.get("num_ctx", 512))
    assert request["options"]["temperature"] == settings.get("temperature", own.get("temperature", 0.9))


@settings(max_examples=40, deadline=None)
@given(st.lists(TEXT), st.sampled_from([None, "float", "base64"]), st.none() | st.integers(1, 9))
def test_embeddings_are_asked_for(texts: list[str], encoding: str | None, dimensions: int | None) -> None:
    embed = {"model": "m", "input": texts, "encoding_format": encoding, "dimensions": dimensions, "user": "u"}
    request = embed_request(embed)
    check_embed(request)
    assert (request["input"], request.get("dimensions")) == (texts, dimensions)


@st.composite
def replies(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A reply as it is whole, and as lines."""
    thoughts, pieces = draw(st.lists(SOME, max_size=3)), draw(st.lists(SOME, max_size=4))
    calls: list[Any] = [
        {"function": {"name": name, "arguments": given}} | ({"id": f"c{at}"} if draw(st.booleans()) else {})
        for at, (name, given) in enumerate(draw(st.lists(st.tuples(NAMES, ARGUMENTS), max_size=3)))
    ]
    end = {
        "done": True,
        "done_reason": draw(st.sampled_from(["stop", "length"])),
        "eval_count": draw(st.integers(0, 9)),
    }
    deltas: list[dict[str, Any]] = [{"thinking": thought} for thought in thoughts]
    deltas += [{"content": piece} for piece in pieces]
    deltas += [{"tool_calls": [call]} for call in calls] if draw(st.booleans()) else [{"tool_calls": calls}]
    head = {"model": "m", "created_at": "2026-01-01T00:00:00Z", "done": False}
    lines = [{**head, "message": {"role": "assistant", "content": "", **delta}} for delta in deltas]
    whole: dict[str, Any] = {"role": "assistant", "content": "".join(pieces), "thinking": "".join(thoughts)}
    return (
        {**head, "message": {**whole, "tool_calls": calls}, **end},
        [*lines, {**head, "message": {"role": "assistant", "content": ""}, **end}],
    )


@settings(max_examples=40, deadline=None)
@given(replies())
def test_a_whole_reply_is_what_its_stream_adds_up_to(reply: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    whole, lines = reply
    made = ChatCompletion.model_validate(completion_of(whole, id="chatcmpl-1", created=5))
    maker = OllamaChunks(id="chatcmpl-1", created=5, include_usage=True)
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for line in lines:
        assert not maker.complete
        for chunk in maker.feed(line):
            state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    assert maker.complete
    assert maker.over
    for chunk in maker.finish():
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    streamed = state.current_completion_snapshot
    said, added = made.choices[0], streamed.choices[0]
    assert (said.message.content or "") == (added.message.content or "")
    assert said.finish_reason == added.finish_reason
    assert made.usage == streamed.usage
    thought = (added.message.model_extra or {}).get("reasoning_content")
    assert (said.message.model_extra or {}).get("reasoning_content") == thought
    told = [(call.id, call.function.name, call.function.arguments) for call in _calls(said.message)]
    assert told == [(call.id, call.function.name, call.function.arguments) for call in _calls(added.message)]


def _calls(message: Any) -> list[Any]:
    return list(message.tool_calls or ())


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from(["model", "message", "done", "done_reason", "logprobs", "eval_count"]), VALUES))
def test_lines_of_another_shape_are_no_surprise(line: dict[str, Any]) -> None:
    """What is sent in the name of a protocol need not follow it; the chunks do."""
    maker = OllamaChunks(id="chatcmpl-1", created=5, include_usage=True)
    for chunk in [*maker.feed(line), *maker.finish()]:
        ChatCompletionChunk.model_validate(chunk)
    ChatCompletion.model_validate(completion_of(line, id="chatcmpl-1", created=5))
