"""Conversations of every shape that Gemini's models can be told, as chat completion requests."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import strategies as st

from tests.support.gemini_upstream_contract import signature_of

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
identifiers = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=12)
names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,15}", fullmatch=True)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
data = st.binary(min_size=1, max_size=12).map(lambda raw: base64.b64encode(raw).decode())


def _image(encoded: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}"}}


def _pdf(encoded: str) -> dict[str, Any]:
    return {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{encoded}"}}


def _sound(encoded: str) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": encoded, "format": "wav"}}


texts = words.map(lambda value: {"type": "text", "text": value})
pictures = data.map(_image)
parts = st.lists(texts | pictures | data.map(_pdf) | data.map(_sound), min_size=2, max_size=4)
signed = words.map(
    lambda thought: {"type": "thinking", "thinking": thought, "signature": f"gemini:{signature_of(thought)}"}
)


@st.composite
def steps(draw: st.DrawFn) -> list[dict[str, Any]]:
    """An answer that calls functions, and their results in any order."""
    ids = draw(st.lists(identifiers, min_size=1, max_size=3, unique=True))
    calls = [
        {
            "id": identifier,
            "type": "function",
            "function": {
                "name": draw(names),
                "arguments": json.dumps(draw(st.dictionaries(words, values, max_size=3))),
            },
        }
        for identifier in ids
    ]
    said: dict[str, Any] = {"role": "assistant", "content": draw(st.none() | words), "tool_calls": calls}
    if draw(st.booleans()):
        said["thinking_blocks"] = [draw(signed)]
    results = [{"role": "tool", "tool_call_id": identifier, "content": draw(words)} for identifier in ids]
    return [said, *draw(st.permutations(results))]


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """It begins with the user, who also speaks after each answer."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": draw(words)}] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 3))):
        messages.append({"role": "user", "content": draw(words | parts)})
        for _ in range(draw(st.integers(0, 2))):
            messages += draw(steps())
        answer: dict[str, Any] = {"role": "assistant", "content": draw(words)}
        if draw(st.booleans()):
            answer["thinking_blocks"] = [draw(signed)]
        messages.append(answer)
    return [*messages, {"role": "user", "content": draw(words)}]
