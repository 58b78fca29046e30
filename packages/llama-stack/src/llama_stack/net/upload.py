"""A request body that is sent as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator


class Upload:
    """The body as aiohttp takes it, from a task of its own. `failure` is what the body itself failed with.

    The upstream gets `stall_s` to take each piece; how long the body makes it wait is for whoever owns the body. Once
    the exchange is over, `settled` waits until nobody is in the body any more, so that its owner can close it.
    """

    def __init__(self, body: AsyncIterator[bytes], stall_s: float) -> None:
        self.failure: Exception | None = None
        self._body = body
        self._stall_s = stall_s
        self._limit: asyncio.Timeout | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    def __aiter__(self) -> Upload:
        return self

    async def __anext__(self) -> bytes:
        self._idle.clear()
        self._watch(None)
        try:
            piece = await anext(self._body)
        except StopAsyncIteration:
            raise
        except Exception as error:
            self.failure = error
            raise
        finally:
            self._idle.set()
        self._watch(asyncio.get_running_loop().time() + self._stall_s)
        return piece

    def limit(self) -> asyncio.Timeout:
        """The time in which the head must come, moved on with each piece that is taken."""
        self._limit = asyncio.timeout(None)
        return self._limit

    def unwatched(self) -> None:
        """To be called where `limit` ends."""
        self._limit = None

    async def settled(self) -> None:
        await self._idle.wait()

    def _watch(self, until: float | None) -> None:
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(until)
