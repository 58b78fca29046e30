"""Who is being served now: the limit on their number, their time limits, and the drain at shutdown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from llama_stack.http.exchange import NEVER, Exchange, Stop
from llama_stack_api.errors import Overloaded

if TYPE_CHECKING:
    from llama_stack.config.server import LimitsConfig

RETRY_AFTER_S = 1.0
SWEEP_EVERY_S_MAX = 1.0
SWEEPS_PER_LIMIT = 20


class Admission:
    """One timer watches the deadlines of all exchanges, so that a request costs no timer of its own.

    It ticks at a twentieth of the shortest limit, at most every second, and only while something is being served.
    `report` hears at every tick how many there are. `always` are paths that answer also when the server is full: an
    overloaded server is not a dead one.
    """

    def __init__(self, limits: LimitsConfig, *, always: frozenset[str], report: Callable[[int], None]) -> None:
        self._requests_max = limits.concurrent_requests_max
        self._always = always
        self._report = report
        shortest_s = min(limits.body_timeout_s, limits.request_timeout_s, limits.stream_idle_timeout_s)
        self._sweep_every_s = min(SWEEP_EVERY_S_MAX, shortest_s / SWEEPS_PER_LIMIT)
        self._timer: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self.running: set[Exchange] = set()
        self.draining = False

    def enter(self, exchange: Exchange, loop: asyncio.AbstractEventLoop) -> None:
        """`Overloaded` if there is no room."""
        if self.draining:
            raise Overloaded(
                "The server is shutting down; send the request to another one, or again.",
                code="shutting_down",
                retry_after_s=RETRY_AFTER_S,
                headers={"connection": "close"},
            )
        if len(self.running) >= self._requests_max and exchange.path not in self._always:
            raise Overloaded(
                f"The server is at its limit of {self._requests_max} requests at a time; "
                "server.limits.concurrent_requests_max raises it.",
                retry_after_s=RETRY_AFTER_S,
            )
        self.running.add(exchange)
        if self._timer is None:
            self._timer = loop.call_later(self._sweep_every_s, self._sweep, loop)

    def leave(self, exchange: Exchange) -> None:
        self.running.discard(exchange)
        if self.draining and not self.running:
            self._idle.set()

    async def drain(self, grace_s: float) -> int:
        """Refuse what is new, wait for what runs, and after `grace_s` seconds stop what still does: how many."""
        self.draining = True
        if await self._idle_within(grace_s):
            return 0
        stopped = list(self.running)
        for exchange in stopped:
            exchange.stop_for(Stop.SHUTDOWN)
        await self._idle_within(RETRY_AFTER_S)
        return len(stopped)

    async def _idle_within(self, seconds: float) -> bool:
        if not self.running:
            return True
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for exchange in list(self.running):
            if exchange.deadline <= now:
                exchange.deadline = NEVER
                exchange.stop_for(Stop.TIMEOUT)
        self._report(len(self.running))
        self._timer = loop.call_later(self._sweep_every_s, self._sweep, loop) if self.running else None
