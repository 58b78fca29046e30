"""A background task that removes what has expired, in bounded batches, so that no sweep holds the store for long."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

SWEEP_INTERVAL_S = 60.0
SWEEP_ROWS_MAX = 500
SOON_S = 1.0


class Sweeper:
    """Calls `sweep(rows_max)` every `interval_s` seconds or when it is woken, and again at once while it reports a full
    batch. `soon`: the first time right after the start, for what a crash has left half done."""

    def __init__(
        self,
        name: str,
        sweep: Callable[[int], Awaitable[int]],
        *,
        interval_s: float = SWEEP_INTERVAL_S,
        rows_max: int = SWEEP_ROWS_MAX,
        soon: bool = False,
    ) -> None:
        self._name = name
        self._sweep = sweep
        self._interval_s = interval_s
        self._rows_max = rows_max
        self._first_s = min(SOON_S, interval_s) if soon else interval_s
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"sweep {self._name}")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def wake(self) -> None:
        """There is something to do now."""
        self._woken.set()

    async def sweep_all(self) -> int:
        """Sweep until a batch is not full; the number of rows removed."""
        removed = 0
        while True:
            batch = await self._sweep(self._rows_max)
            removed += batch
            if batch < self._rows_max:
                return removed
            await asyncio.sleep(0)

    async def _run(self) -> None:
        await self._rest(self._first_s)
        while True:
            try:
                await self.sweep_all()
            except Exception as error:  # noqa: BLE001 — the task's boundary; the next round tries again
                logging.getLogger(__name__).warning("sweep of %s failed: %s", self._name, error)
            await self._rest(self._interval_s)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()
