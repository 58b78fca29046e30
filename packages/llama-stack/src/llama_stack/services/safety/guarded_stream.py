"""A streamed completion under guard."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import Any

import msgspec

from llama_stack.agent.guardrails import Guardrails
from llama_stack.dialects.openai import sse
from llama_stack.services.safety.guarded_choice import GuardedChoice
from llama_stack.services.safety.said import envelope


class GuardedStream:
    """Blocks of whole events in, blocks of whole events out. `identifier` takes the place of the completion's id.

    Of a choice that is blocked a refusal goes out, and its end; the stream is read to its own end, as its usage comes
    last.
    """

    def __init__(self, rails: Guardrails, *, chat: bool, identifier: str | None = None) -> None:
        self._rails = rails
        self._chat = chat
        self._own = {} if identifier is None else {"id": identifier}
        self._choices: dict[int, GuardedChoice] = {}
        self._envelope: dict[str, Any] = {}
        self.done = False

    async def feed(self, block: bytes) -> bytes:
        out: list[bytes] = []
        for event in block.split(b"\n\n"):
            data = sse.data_of(event)
            if data == b"[DONE]":
                out += await self._end()
            elif data:
                out += await self._chunk(data)
        return b"".join(out)

    async def _chunk(self, data: bytes) -> list[bytes]:
        chunk: dict[str, Any] = msgspec.json.decode(data)
        self._envelope = envelope(chunk) | self._own
        usage = self._envelope.pop("usage", None)
        pieces: list[dict[str, Any]] = []
        for choice in chunk.get("choices") or ():
            index = choice.get("index", 0)
            if index not in self._choices:
                self._choices[index] = GuardedChoice(index, self._rails, chat=self._chat)
            pieces += await self._choices[index].feed(choice, len(data))
        out = list(self._encoded(pieces))
        if usage is not None:
            out.append(_event({**self._envelope, "choices": [], "usage": usage}))
        return out

    async def _end(self) -> list[bytes]:
        pieces = [piece for choice in self._choices.values() for piece in await choice.end()]
        self.done = True
        return [*self._encoded(pieces), sse.DONE]

    def _encoded(self, pieces: list[dict[str, Any]]) -> Iterator[bytes]:
        return (_event({**self._envelope, "choices": [piece]}) for piece in pieces)


def _event(chunk: dict[str, Any]) -> bytes:
    return sse.encode(msgspec.json.encode(chunk))


async def guarded_blocks(source: AsyncGenerator[bytes, None], stream: GuardedStream) -> AsyncGenerator[bytes, None]:
    """The first block is empty: it is taken before the stream is handed out, as closing what has not begun would leave
    `source` open."""
    try:
        yield b""
        async for block in source:
            yield await stream.feed(block) if block else b""
    finally:
        await source.aclose()
