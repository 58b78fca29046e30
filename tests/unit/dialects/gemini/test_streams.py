"""A whole reply is what its stream adds up to."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from llama_stack.dialects.gemini.chunks import GeminiChunks
from llama_stack.dialects.gemini.from_gemini import completion_of
from llama_stack.dialects.openai.accumulate import accumulate
from tests.support.gemini_upstream import Says, call, text, thought
from tests.unit.dialects.gemini.conversations import names, values, words

MODEL = "gemini-3-pro"
calls = st.builds(call, names, st.dictionaries(words, values, max_size=2), st.none() | words)
replies = st.builds(
    Says,
    st.lists(words.map(thought) | words.map(text) | calls, min_size=1, max_size=5),
    finish_reason=st.sampled_from(["STOP", "MAX_TOKENS", "SAFETY", "OTHER"]),
    usage=st.sampled_from([{}, {"thoughtsTokenCount": 5, "cachedContentTokenCount": 3, "toolUsePromptTokenCount": 2}]),
)


def whole(said: Says, count: int, **options: Any) -> dict[str, Any]:
    signed = list(said.signed(True))
    candidates = [said._candidate(at, signed, finishReason=said.finish_reason, **said.members) for at in range(count)]
    return completion_of(said._reply(MODEL, candidates, said.words), model="m", created=1, **options)


def streamed(said: Says, count: int, **options: Any) -> dict[str, Any]:
    maker = GeminiChunks(model="m", created=1, include_usage=True, choices=count, **options)
    chunks = [chunk for event in said.events(MODEL, True, count) for chunk in maker.feed(event)]
    assert maker.complete
    chunks += maker.finish()
    return accumulate(b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks))


def plain(completion: dict[str, Any]) -> dict[str, Any]:
    """Without what joining pieces drops, numbers and Google's own word for the end, and with one word for nothing."""
    for choice in completion["choices"]:
        choice.pop("native_finish_reason", None)
        message = choice["message"]
        message["content"] = message["content"] or None
        for name in ("thinking_blocks", "annotations"):
            for entry in message.get(name, ()):
                entry.pop("index", None)
        for made in message.get("tool_calls", ()):
            made.pop("index", None)
    return completion


@settings(max_examples=40, deadline=None)
@given(said=replies, count=st.integers(1, 3), one_call=st.booleans())
def test_a_whole_reply_is_its_stream(said: Says, count: int, one_call: bool) -> None:
    assert plain(streamed(said, count, one_call=one_call)) == plain(whole(said, count, one_call=one_call))


@settings(max_examples=40, deadline=None)
@given(said=replies)
def test_calls_have_ids_of_their_own(said: Says) -> None:
    made = whole(said, 2)
    unnamed = [part for part in said.parts if "functionCall" in part and "id" not in part["functionCall"]]
    given_ids = {part["functionCall"].get("id") for part in said.parts if "functionCall" in part}
    ids = [made["id"] for choice in made["choices"] for made in choice["message"].get("tool_calls", ())]
    assert len({identifier for identifier in ids if identifier not in given_ids}) == 2 * len(unnamed)
    assert all(ids)


def test_a_stream_is_complete_when_each_answer_is() -> None:
    maker = GeminiChunks(model="m", created=1, include_usage=False, choices=2)
    known = [maker.complete]
    for index, reason in ((0, "STOP"), (1, "MAX_TOKENS")):
        maker.feed({"candidates": [{"index": index, "content": {"parts": [{"text": "a"}]}, "finishReason": reason}]})
        known.append(maker.complete)
    assert known == [False, False, True]
    ends = [choice for chunk in maker.finish() for choice in chunk["choices"]]
    assert [(choice["index"], choice["finish_reason"]) for choice in ends] == [(0, "stop"), (1, "length")]
