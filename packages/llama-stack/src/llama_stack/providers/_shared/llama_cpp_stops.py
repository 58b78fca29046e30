"""Which stop sequence ended an answer, as `stop_reason` of the choice.

llama.cpp says it only if it is asked for all that it knows, with every chunk; the rest of that stays here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from llama_stack.dialects.openai import sse
from llama_stack.dialects.openai.errors import UNREADABLE
from llama_stack_api.wire import EncodedStream

ASKED = {"verbose": True}
_MEMBER = "__verbose"


class ToldStops(EncodedStream):
    """The stream of a request that had `ASKED` in its body."""

    def __init__(self, stream: EncodedStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        splitter = sse.EventSplitter()
        async for data in self._stream:
            yield b"".join(_told(event) + b"\n\n" for event in splitter.feed(data).split(b"\n\n") if event)
        if rest := splitter.finish():
            yield _told(rest) + b"\n\n"

    async def aclose(self) -> None:
        await self._stream.aclose()

    def masked(self, text: str) -> str:
        return self._stream.masked(text)


def _told(event: bytes) -> bytes:
    if _MEMBER.encode() not in event:
        return event
    try:
        chunk = msgspec.json.decode(sse.data_of(event), type=dict[str, object])
    except UNREADABLE:
        return event  # the relay says what is wrong with it
    known, choices = chunk.pop(_MEMBER, None), chunk.get("choices")
    word = known.get("stopping_word") if isinstance(known, dict) else None
    if word and isinstance(choices, list):
        for choice in choices:
            if choice.get("finish_reason"):
                choice["stop_reason"] = word
    return b"data: " + msgspec.json.encode(chunk)
