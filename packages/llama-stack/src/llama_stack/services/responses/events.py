"""A run's events as server-sent events of OpenAI's Responses API: each under its name, and no `[DONE]`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import msgspec

from llama_stack.runs.model import Event

KEEP_ALIVE_S = 15.0
"""A stream that has had nothing to say for so long says that it lives: proxies cut what is silent."""
KEEP_ALIVE = b": keep-alive\n\n"

_TYPE = b'{"type":"'


class _Typed(msgspec.Struct):
    type: str


_decode = msgspec.json.Decoder(_Typed).decode


def type_of(event: bytes) -> bytes:
    """The `type` of an event, which mostly stands first in it."""
    if event.startswith(_TYPE):
        return event[len(_TYPE) : event.index(b'"', len(_TYPE))]
    return _decode(event).type.encode()


def block_of(events: Sequence[Event]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (type_of(event.data), event.data) for event in events)


async def blocks_of(batches: AsyncGenerator[Sequence[Event], None]) -> AsyncGenerator[bytes, None]:
    """Blocks of whole events, and comments while there are none (`RunEngine.tail` with `idle_s`)."""
    try:
        async for events in batches:
            yield block_of(events) if events else KEEP_ALIVE
    finally:
        await batches.aclose()
