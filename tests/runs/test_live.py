"""The newest events of a run in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from llama_stack.runs.live import LiveLog, ReadOnceLog
from llama_stack.runs.model import Outcome, Run, RunStatus

pytestmark = pytest.mark.anyio

RUN = Run("run_1", "t", "o", "toy", RunStatus.RUNNING, False, None, 1, 1, 0.0, 0.0)


def test_reads_what_is_kept_and_says_what_is_not() -> None:
    live = LiveLog(replace(RUN, fence=2), kept_bytes_max=10)
    assert live.read(0) is None
    assert live.read(5) is None
    live.resume(5)
    assert live.read(4) is None
    assert live.read(5) == []
    assert live.read(9) == [], "a run that goes on after a takeover has its earlier events in the store"
    live.publish(5, [b"aaaa", b"bbbb"])
    assert live.read(4) is None
    assert live.read(5) == [(5, b"aaaa"), (6, b"bbbb")]
    assert live.read(6) == [(6, b"bbbb")]
    assert live.read(7) == []
    live.publish(7, [b"cccc"])
    assert live.read(5) is None
    assert live.read(7) == [(7, b"cccc")]
    live.publish(8, [b"d" * 100])
    assert live.read(8) == [(8, b"d" * 100)], "the newest is kept, whatever its size"
    assert live.read(7) is None


async def test_wakes_who_waits() -> None:
    live = LiveLog(RUN)
    changes: list[Callable[[], None]] = [partial(live.publish, 0, [b"a"]), partial(live.end, Outcome()), live.leave]
    for change in changes:
        waiting = [asyncio.create_task(live.change.wait()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting.pop().cancel()
        change()
        async with asyncio.timeout(5):
            await asyncio.gather(*waiting)


async def test_read_once_waits_for_its_reader() -> None:
    live = ReadOnceLog(RUN, kept_bytes_max=5)
    live.publish(0, [b"aaaa"])
    await live.room()
    live.publish(1, [b"bbbb"])
    writing = asyncio.create_task(live.room())
    await asyncio.sleep(0)
    assert live.read(0) == [(0, b"aaaa")]
    await asyncio.sleep(0)
    assert not writing.done()
    assert live.read(1) == [(1, b"bbbb")]
    async with asyncio.timeout(5):
        await writing
    assert live.read(0) is None
