"""Breakers of several processes, told to each other through KV.

Only transitions are written, and only in the background: `breaker/<digest of the target key>` holds the target and the
time until which it is left alone, expires then, and goes at once when a probe succeeds. Every process reads what is
there once a second. Without KV each process finds out for itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from llama_stack.routing.attempts import Attempts
from llama_stack.routing.breaker import Breaker, BreakerState
from llama_stack.routing.observer import RoutingObserver, SilentObserver
from llama_stack_api.ports.kv import KV

PREFIX = "breaker/"
PENDING_MAX = 1_000
READ_MAX = 1_000


class _Opening(NamedTuple):
    target: str
    until_unix_s: float


class SharedBreakers:
    """Connects the breakers of `attempts` with those of its peers. `run()` is one background task."""

    def __init__(
        self,
        attempts: Attempts,
        kv: KV,
        *,
        interval_s: float = 1.0,
        kv_timeout_s: float = 2.0,
        observer: RoutingObserver | None = None,
        wall_clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._attempts = attempts
        self._kv = kv
        self._interval_s = interval_s
        self._kv_timeout_s = kv_timeout_s
        self._observer = observer or SilentObserver()
        self._wall_clock = wall_clock
        self._sleep = sleep
        self._pending: dict[str, float | None] = {}
        self._seen: dict[str, _Opening] = {}
        self.degraded = False
        attempts.listeners.append(self._note)

    async def run(self) -> None:
        while True:
            await self.exchange()
            await self._sleep(self._interval_s)

    async def exchange(self) -> None:
        """Write our transitions, adopt those of others; one round."""
        try:
            async with asyncio.timeout(self._kv_timeout_s):
                await self._write()
                await self._read()
        except Exception as error:  # noqa: BLE001 - KV backends raise their drivers' errors; breakers work without
            self._set_degraded(True, type(error).__name__)
        else:
            self._set_degraded(False, "")

    def _note(self, key: str, breaker: Breaker) -> None:
        """The latest transition of a target replaces an earlier one that is not written yet."""
        if breaker.state is BreakerState.HALF_OPEN or (key not in self._pending and len(self._pending) >= PENDING_MAX):
            return
        opened = breaker.state is BreakerState.OPEN
        cool_down_s = breaker.retry_in_s(self._attempts.clock()) if opened else 0.0
        self._pending[key] = self._wall_clock() + cool_down_s if opened else None

    async def _write(self) -> None:
        now = self._wall_clock()
        for key, until in list(self._pending.items()):
            name = PREFIX + hashlib.sha256(key.encode()).hexdigest()
            if until is None:
                await self._kv.delete(name)
                self._seen.pop(name, None)
            elif until > now:
                value = json.dumps({"target": key, "until": until}).encode()
                await self._kv.set(name, value, ttl_s=until - now)
                self._seen[name] = _Opening(key, until)
            if self._pending.get(key) == until:
                del self._pending[key]

    async def _read(self) -> None:
        now = self._wall_clock()
        present: dict[str, _Opening] = {}
        async for name in self._kv.scan(PREFIX):
            value = await self._kv.get(name)
            if value is None:
                continue
            record = json.loads(value)
            opening = present[name] = _Opening(record["target"], float(record["until"]))
            known = self._seen.get(name)
            if known is None or known.until_unix_s < opening.until_unix_s:
                self._adopt(opening, now)
            if len(present) >= READ_MAX:
                break
        for name, gone in self._seen.items():
            if name not in present and now < gone.until_unix_s:
                self._attempts.closed_elsewhere(gone.target)
        self._seen = present

    def _adopt(self, opening: _Opening, now: float) -> None:
        remaining_s = min(opening.until_unix_s - now, self._attempts.breaker_policy.cool_down_max_s)
        if remaining_s > 0:
            self._attempts.opened_elsewhere(opening.target, remaining_s)

    def _set_degraded(self, degraded: bool, reason: str) -> None:
        if degraded is not self.degraded:
            self.degraded = degraded
            self._observer.shared_state_degraded("breakers", degraded, reason)
