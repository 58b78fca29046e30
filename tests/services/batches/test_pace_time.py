"""The clock goes on while the pace looks at it."""

from __future__ import annotations

import asyncio

import pytest

from llama_stack.services.batches.lane import PacePolicy
from llama_stack.services.batches.pace import Pace
from llama_stack_api.errors import RateLimited

pytestmark = pytest.mark.anyio

PAUSE_S = 0.05


async def test_a_pause_that_ends_while_somebody_looks_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    real, steps = loop.time, list[float]()
    monkeypatch.setattr(loop, "time", lambda: steps.pop(0) if steps else real())
    pace = Pace(1, policy=PacePolicy(1, start=1, pause_s=PAUSE_S, jitter=0))

    async def attempt(number: int) -> str:
        if number == 0:
            now = real()
            # The refusal, the look after it, and that of whoever comes next: it begins in the pause, and ends behind.
            steps.extend((now, now, now + PAUSE_S - 1e-6, now + PAUSE_S + 1e-6))
            raise RateLimited("later")
        return "done"

    async with asyncio.timeout(5):
        assert await pace.carry_out("up", "batch", None, attempt) == "done"
