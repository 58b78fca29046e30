"""The chunks of a streamed chat completion, read down to the members that matter.

Upstreams differ in the details of nearly all of them, so their types are judged where they are used.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from llama_stack.agent.entries import Item
from llama_stack.agent.turn import Usage
from llama_stack.dialects.openai import sse
from llama_stack.dialects.openai.errors import UNREADABLE
from llama_stack_api.errors import ProviderStreamBroken


class FunctionDelta(msgspec.Struct, gc=False):
    name: Any = None
    arguments: Any = None


class CallDelta(msgspec.Struct, gc=False):
    index: Any = None
    id: Any = None
    function: FunctionDelta | None = None


class Delta(msgspec.Struct, gc=False):
    content: Any = None
    refusal: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    thinking_blocks: Any = None
    tool_calls: list[CallDelta] | None = None


class Choice(msgspec.Struct, gc=False):
    index: int = 0
    delta: Delta | None = None
    finish_reason: str | None = None
    logprobs: Any = None


class Chunk(msgspec.Struct, gc=False):
    choices: list[Choice] | None = None
    usage: Any = None
    model: str | None = None
    service_tier: Any = None


_decode_chunks = msgspec.json.Decoder(list[Chunk]).decode
_decode_chunk = msgspec.json.Decoder(Chunk).decode
_SEPARATOR = b"\n\ndata: "


def decode(block: bytes) -> list[Chunk]:
    """The chunks of a block of whole events. `ProviderStreamBroken` for what is none."""
    body = block.removesuffix(sse.DONE)
    if not body:
        return []
    if body.startswith(b"data: "):
        try:
            return _decode_chunks(b"[" + body[6:-2].replace(_SEPARATOR, b",") + b"]")
        except UNREADABLE:
            pass
    return _decode_one_by_one(block)


def _decode_one_by_one(block: bytes) -> list[Chunk]:
    datas = [sse.data_of(event) for event in block.split(b"\n\n")]
    try:
        return [_decode_chunk(data) for data in datas if data and data != b"[DONE]"]
    except UNREADABLE:
        raise ProviderStreamBroken("The model's provider sent something that is not a completion chunk.") from None


class Stroke(NamedTuple):
    """What one chunk adds to one thing: text, for a thought that is `signed` its block, for a `call` a `CallDelta`."""

    kind: Literal["thought", "signed", "text", "refusal", "call"]
    value: Any
    logprobs: Sequence[Item] = ()


def strokes(choice: Choice) -> Iterator[Stroke]:
    """In the order in which an answer is made."""
    delta = choice.delta
    if delta is None:
        return
    thought, text = delta.reasoning_content or delta.reasoning, delta.content
    if isinstance(text, list):
        thought, text = _of_parts(text)
    if thought and isinstance(thought, str):
        yield Stroke("thought", thought)
    if delta.thinking_blocks is not None:
        yield from (Stroke("signed", _without_index(block)) for block in _objects(delta.thinking_blocks))
    if not thought and choice.logprobs is not None and isinstance(text or "", str):
        # A token may be less than a character: then it has a logprob, and no text yet.
        yield Stroke("text", text or "", _logprobs(choice.logprobs))
    elif text and isinstance(text, str):
        yield Stroke("text", text)
    if delta.refusal and isinstance(delta.refusal, str):
        yield Stroke("refusal", delta.refusal)
    for call in delta.tool_calls or ():
        yield Stroke("call", call)


def _of_parts(parts: list[Any]) -> tuple[str, str]:
    """Thought and text. Mistral sends lists of parts."""
    thought, text = [], []
    for part in parts:
        match part:
            case {"type": "text", "text": str(piece)}:
                text.append(piece)
            case {"type": "thinking", "thinking": str(piece)}:
                thought.append(piece)
            case {"type": "thinking", "thinking": list(pieces)}:
                thought.extend(str(piece.get("text") or "") for piece in _objects(pieces))
    return "".join(thought), "".join(text)


def _logprobs(logprobs: Any) -> list[Item]:
    """The tokens of a piece of text in the form of `output_text.logprobs`."""
    return [
        {**_token(token), "top_logprobs": [_token(top) for top in _objects(token.get("top_logprobs"))]}
        for token in _objects(logprobs.get("content") if isinstance(logprobs, dict) else None)
    ]


def _without_index(block: Item) -> Item:
    return {name: value for name, value in block.items() if name != "index"}


def _objects(values: Any) -> list[Item]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _token(token: Item) -> Item:
    text, in_bytes = str(token.get("token") or ""), token.get("bytes")
    return {
        "token": text,
        "bytes": in_bytes if isinstance(in_bytes, list) else list(text.encode(errors="replace")),
        "logprob": _number(token.get("logprob")),
    }


def usage_of(usage: Any) -> Usage | None:
    """Token counts, where `usage` holds them."""
    if not isinstance(usage, dict) or not isinstance(usage.get("prompt_tokens"), int | float):
        return None
    return Usage(
        input_tokens=_count(usage, "prompt_tokens"),
        cached_tokens=_count(usage.get("prompt_tokens_details"), "cached_tokens"),
        output_tokens=_count(usage, "completion_tokens"),
        reasoning_tokens=_count(usage.get("completion_tokens_details"), "reasoning_tokens"),
    )


def _count(counts: Any, name: str) -> int:
    return int(_number(counts.get(name))) if isinstance(counts, dict) else 0


def _number(value: Any) -> float:
    return value if isinstance(value, int | float) and math.isfinite(value) else 0
