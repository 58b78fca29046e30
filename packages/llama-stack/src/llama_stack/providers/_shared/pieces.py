"""A body cut anew: the network brings bytes in crumbs, files and object stores want loaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from llama_stack.providers._shared.threads import ended


async def pieces_ahead(body: AsyncIterator[bytes], size: int) -> AsyncGenerator[bytes, None]:
    """As `pieces`; while one is being worked on the next is read already. Close it (`aclosing`): once that is done,
    nobody is in the body any more."""
    cut = pieces(body, size)
    coming = asyncio.create_task(_next(cut))
    try:
        while (piece := await coming) is not None:
            coming = asyncio.create_task(_next(cut))
            yield piece
    finally:
        coming.cancel()
        await ended(coming)


async def pieces(body: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """The same bytes in pieces of `size`, the last one shorter; nothing of an empty body."""
    parts: list[bytes] = []
    held = 0
    async for data in body:
        parts.append(data)
        held += len(data)
        if held < size:
            continue
        whole = parts[0] if len(parts) == 1 else b"".join(parts)
        start = 0
        while held - start >= size:
            yield whole[start : start + size]
            start += size
        parts = [whole[start:]] if start < held else []
        held -= start
    if held:
        yield parts[0] if len(parts) == 1 else b"".join(parts)


async def _next(cut: AsyncIterator[bytes]) -> bytes | None:
    return await anext(cut, None)
