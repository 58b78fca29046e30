"""Connections to PostgreSQL, kept and lent out. SQLAlchemy's pool and session cost more than most of our statements."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from asyncpg import Connection

    Driver: TypeAlias = Connection

PING_AFTER_S = 1.0
"""Idle time after which a connection is tested before use: a database that was restarted costs no request then."""
OVERFLOW_IDLE_S = 10.0
"""Idle time after which a connection beyond those that are kept is closed; a new one costs what many statements do."""
CLOSE_TIMEOUT_S = 2.0


class PoolExhausted(Exception):
    """No connection came free in time."""


@dataclass(slots=True)
class Lent:
    connection: Driver
    born: float
    idle_since: float
    used: bool = False
    """Something was done with it since it was lent."""
    broken: bool = False
    """Nobody knows in what state it is; then nobody else gets it."""


class ConnectionPool:
    """`kept` connections stay open, `overflow` more while they are needed; who waits longer than `wait_s` gets
    `PoolExhausted`. The last one used is used next, so that the others can be idle. `recycle_s`: the age at which one
    is replaced, negative for never. `ping`: test those that were idle."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Driver]],
        *,
        kept: int,
        overflow: int,
        wait_s: float,
        recycle_s: float = -1,
        ping: bool = True,
    ) -> None:
        self._connect = connect
        self._kept = kept
        self._wait_s = wait_s
        self._recycle_s = recycle_s
        self._ping = ping
        self._places = asyncio.Semaphore(kept + overflow)
        self._idle: list[Lent] = []

    @asynccontextmanager
    async def lend(self, *, fresh: bool = False) -> AsyncIterator[Lent]:
        """`fresh`: not one that may have died while nobody looked."""
        await self._take_place()
        try:
            lent = (None if fresh else await self._usable()) or await self._new()
            try:
                yield lent
            finally:
                await self._take_back(lent)
        finally:
            self._places.release()

    async def close(self) -> None:
        while self._idle:
            await _close(self._idle.pop())

    async def _take_place(self) -> None:
        if not self._places.locked():
            await self._places.acquire()
            return
        try:
            async with asyncio.timeout(self._wait_s):
                await self._places.acquire()
        except TimeoutError:
            raise PoolExhausted from None

    async def _new(self) -> Lent:
        connection = await self._connect()
        now = time.monotonic()
        return Lent(connection, now, now)

    async def _usable(self) -> Lent | None:
        while self._idle:
            lent = self._idle.pop()
            if not lent.connection.is_closed() and await self._answers(lent):
                return lent
            lent.connection.terminate()
        return None

    async def _answers(self, lent: Lent) -> bool:
        import asyncpg

        now = time.monotonic()
        if 0 <= self._recycle_s < now - lent.born:
            return False
        if not self._ping or now - lent.idle_since < PING_AFTER_S:
            return True
        try:
            await lent.connection.execute("SELECT 1")
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        except BaseException:
            lent.connection.terminate()
            raise
        return True

    async def _take_back(self, lent: Lent) -> None:
        if lent.broken or lent.connection.is_closed():
            lent.connection.terminate()
        else:
            lent.idle_since, lent.used = time.monotonic(), False
            self._idle.append(lent)
        longest = self._idle[0] if len(self._idle) > self._kept else None
        if longest is not None and time.monotonic() - longest.idle_since > OVERFLOW_IDLE_S:
            await _close(self._idle.pop(0))


async def _close(lent: Lent) -> None:
    """Says goodbye to the server, if it listens."""
    try:
        await lent.connection.close(timeout=CLOSE_TIMEOUT_S)
    except (OSError, TimeoutError):
        lent.connection.terminate()
