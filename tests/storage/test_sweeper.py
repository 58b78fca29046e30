"""The task that removes what has expired."""

from __future__ import annotations

import asyncio
import logging

import pytest

from llama_stack.storage.errors import StoreUnavailable
from llama_stack.storage.sweeper import Sweeper

pytestmark = pytest.mark.anyio


class Rows:
    """Expired rows, and a store that is away at the first call."""

    def __init__(self, count: int, *, failures: int = 0) -> None:
        self.count = count
        self.failures = failures
        self.batches: list[int] = []
        self.done = asyncio.Event()

    async def sweep(self, rows_max: int) -> int:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("the store is away")
        batch = min(self.count, rows_max)
        self.count -= batch
        self.batches.append(batch)
        if not self.count:
            self.done.set()
        return batch


async def test_sweeps_in_batches_until_one_is_not_full() -> None:
    rows = Rows(7)
    assert await Sweeper("rows", rows.sweep, rows_max=3).sweep_all() == 7
    assert rows.batches == [3, 3, 1]


async def test_begins_at_once_when_it_is_woken() -> None:
    rows = Rows(1)
    sweeper = Sweeper("rows", rows.sweep, interval_s=3600)
    sweeper.start()
    for count in (1, 2):
        rows.count = count
        rows.done.clear()
        sweeper.wake()
        async with asyncio.timeout(10):
            await rows.done.wait()
    await sweeper.stop()
    assert rows.batches == [1, 2]


async def test_goes_on_after_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    rows = Rows(5, failures=1)
    sweeper = Sweeper("rows", rows.sweep, interval_s=0.001, rows_max=2)
    with caplog.at_level(logging.WARNING):
        sweeper.start()
        async with asyncio.timeout(10):
            await rows.done.wait()
        await sweeper.stop()
    assert rows.batches[:3] == [2, 2, 1]
    assert "sweep of rows failed: the store is away" in caplog.text
    await sweeper.stop()
