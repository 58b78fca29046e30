"""Steps as an executor uses them: parallel, failing, repeated, and once more after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from llama_stack.runs.engine import RunEngine
from llama_stack.runs.errors import StepFailed, StepInterrupted
from llama_stack.runs.handle import Ending, RunHandle
from llama_stack.runs.limits import RunLimits, RunTimings
from llama_stack.runs.model import Closing, NewRun, Outcome, RunStatus, StepStatus
from llama_stack.storage.sql.database import Database
from llama_stack_api.errors import Conflict, ProviderTimeout
from llama_stack_api.principal import Principal

pytestmark = pytest.mark.anyio
ALICE = Principal(id="alice", attributes={"roles": ("admin",)})
TIMINGS = RunTimings(lease_s=0.6, poll_s=0.02, drain_s=0.0)

Execute = Callable[[RunHandle], Awaitable[Outcome]]


class Act:
    """A kind that does what a test says."""

    name = "act"

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    async def execute(self, run: RunHandle) -> Outcome:
        return await self._execute(run)

    async def close(self, ending: Ending) -> Closing:
        return Closing()


@asynccontextmanager
async def engine_for(database: Database, execute: Execute, limits: RunLimits | None = None) -> AsyncIterator[RunEngine]:
    engine = RunEngine(database, [Act(execute)], limits=limits, timings=TIMINGS)
    await engine.open()
    try:
        async with asyncio.timeout(20):
            yield engine
    finally:
        await engine.close()


async def perform(database: Database, execute: Execute, limits: RunLimits | None = None) -> Outcome:
    async with engine_for(database, execute, limits) as engine:
        return await engine.wait(ALICE, (await engine.start(ALICE, NewRun("act", b""))).run.id)


async def test_steps_run_in_parallel(database: Database) -> None:
    everyone = asyncio.Barrier(12)

    async def execute(run: RunHandle) -> Outcome:
        async def step(number: int) -> bytes:
            async def effect() -> bytes:
                async with everyone:  # each has begun, none has ended
                    await run.emit(b"%d" % run.next_event)
                return b"%d" % number

            return await run.steps.run_step(f"s{number}", "t", idempotent=number % 2 == 0, intent=b"", effect=effect)

        return Outcome(result=b",".join(await asyncio.gather(*map(step, range(12)))))

    async with engine_for(database, execute) as engine:
        run_id = (await engine.start(ALICE, NewRun("act", b""))).run.id
        assert (await engine.wait(ALICE, run_id)).result == b"0,1,2,3,4,5,6,7,8,9,10,11"
        run = await engine.journal.get(ALICE, run_id)
        assert [event.data async for event in engine.journal.log(run)] == [b"%d" % number for number in range(12)]
        steps = (await engine.journal.replay(run)).steps
        assert sorted((step.number, step.key, step.result) for step in steps) == [
            (number, f"s{number}", b"%d" % number) for number in range(12)
        ]


async def test_what_a_next_attempt_finds(database: Database) -> None:
    attempts: list[dict[str, str]] = []
    calls: list[str] = []
    stuck = asyncio.Event()

    async def execute(run: RunHandle) -> Outcome:
        seen = {"replayed": ",".join(f"{step.key}:{step.status}" for step in run.steps.replayed)}
        attempts.append(seen)
        assert run.principal == Principal(id="alice")

        async def attempt(key: str, idempotent: bool, effect: Callable[[], Awaitable[bytes]]) -> None:
            try:
                seen[key] = (
                    await run.steps.run_step(key, "t", idempotent=idempotent, intent=b"i", effect=effect)
                ).decode()
            except (StepFailed, StepInterrupted) as error:
                seen[key] = f"{error.code}: {error.message}"

        async def works() -> bytes:
            calls.append("works")
            return run.steps.idempotency_key("works").encode()

        async def fails() -> bytes:
            calls.append("fails")
            raise ProviderTimeout("it took too long")

        async def hangs() -> bytes:
            calls.append("hangs")
            stuck.set()
            await asyncio.sleep(3600)
            return b""

        await attempt("works", False, works)
        await attempt("fails", False, fails)
        await attempt("hangs", False, hangs)
        return Outcome(RunStatus.INCOMPLETE)

    async with engine_for(database, execute) as engine:
        run_id = (await engine.start(ALICE, NewRun("act", b""))).run.id
        await stuck.wait()
    async with engine_for(database, execute) as engine:
        assert await engine.wait(ALICE, run_id) == Outcome(RunStatus.INCOMPLETE)
    first, second = attempts
    assert calls == ["works", "fails", "hangs"]
    assert first["replayed"] == ""
    assert second == {
        "replayed": "works:done,fails:failed,hangs:interrupted",
        "works": f"{run_id}:works",
        "fails": "upstream_timeout: it took too long",
        "hangs": "step_interrupted: the step hangs was interrupted by a crash of the server and is not repeated",
    }


async def test_a_key_names_one_step(database: Database) -> None:
    async def execute(run: RunHandle) -> Outcome:
        async def effect() -> bytes:
            return b""

        for _ in range(2):
            await run.steps.run_step("same", "t", idempotent=True, intent=b"", effect=effect)
        return Outcome()

    outcome = await perform(database, execute)
    assert outcome.error is not None
    assert outcome.error.code == Conflict.default_code


@pytest.mark.parametrize(
    ("limits", "intent", "result"),
    [(RunLimits(step_bytes_max=9), b"x" * 10, b""), (RunLimits(step_bytes_max=9), b"", b"x" * 10)],
)
async def test_steps_are_of_bounded_size(database: Database, limits: RunLimits, intent: bytes, result: bytes) -> None:
    async def execute(run: RunHandle) -> Outcome:
        async def effect() -> bytes:
            return result

        await run.steps.run_step("large", "t", idempotent=False, intent=intent, effect=effect)
        return Outcome()

    outcome = await perform(database, execute, limits)
    assert outcome.error is not None
    assert "server.runs.step_bytes_max" in outcome.error.message
    fits = limits.model_copy(update={"step_bytes_max": 10})
    assert (await perform(database, execute, fits)).status == "completed"


async def test_an_effect_that_breaks_leaves_its_step_open(database: Database) -> None:
    async def execute(run: RunHandle) -> Outcome:
        async def effect() -> bytes:
            raise RuntimeError("a bug")

        await run.steps.run_step("buggy", "t", idempotent=False, intent=b"", effect=effect)
        return Outcome()

    async with engine_for(database, execute) as engine:
        run_id = (await engine.start(ALICE, NewRun("act", b""))).run.id
        outcome = await engine.wait(ALICE, run_id)
        assert outcome.error is not None
        assert outcome.error.code == "internal_error"
        (step,) = (await engine.journal.replay(await engine.journal.get(ALICE, run_id))).steps
        assert step.status is StepStatus.INTERRUPTED, "nobody knows what it did"
