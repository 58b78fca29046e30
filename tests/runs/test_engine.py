"""Runs as services see them: started, followed, cancelled, in one process or several."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llama_stack.runs.engine import RunEngine
from llama_stack.runs.limits import Endurance, RunLimits, RunTimings
from llama_stack.runs.model import NewRun, Outcome, Run, RunStatus
from llama_stack.storage.errors import StoreUnavailable
from llama_stack.storage.sql.database import Database
from llama_stack_api.errors import NotFound, Overloaded
from llama_stack_api.principal import Principal
from tests.support.toy_runs import STEPS, Toy, effects_of

pytestmark = pytest.mark.anyio

ALICE = Principal(id="alice", tenant="acme")
BOB = Principal(id="bob", tenant="acme")
RESULT = {key: f"did {key}" for key, _ in STEPS}
QUICK = RunTimings(lease_s=0.6, poll_s=0.02, drain_s=0.1)

Open = Callable[..., Awaitable[tuple[RunEngine, Toy]]]


@pytest.fixture
def effects(tmp_path: Path) -> Path:
    return tmp_path / "effects"


@pytest.fixture
async def open_engine(database: Database, effects: Path) -> AsyncIterator[Open]:
    async with AsyncExitStack() as exits, asyncio.timeout(30):

        async def open_one(
            *, claims: bool = True, limits: RunLimits | None = None, timings: RunTimings = QUICK
        ) -> tuple[RunEngine, Toy]:
            toy = Toy(effects)
            engine = RunEngine(database, [toy], limits=limits, timings=timings, claims=claims)
            await engine.open()
            exits.push_async_callback(engine.close)
            return engine, toy

        yield open_one


async def seen(engine: RunEngine, run_id: str, starting_after: int = -1, principal: Principal = ALICE) -> list[bytes]:
    found = []
    async for events in engine.tail(principal, run_id, starting_after=starting_after):
        for number, data in events:
            starting_after += 1
            assert number == starting_after, "no gap, no repeat"
            found.append(data)
    return found


async def committed(engine: RunEngine, run_id: str, count: int) -> None:
    """Until so many events are."""
    async for events in engine.tail(ALICE, run_id):
        if events[-1].number >= count - 1:
            return


async def gather_into(got: list[bytes], engine: RunEngine, run_id: str) -> None:
    async for events in engine.tail(ALICE, run_id):
        got += [event.data for event in events]


async def log(engine: RunEngine, run_id: str) -> list[bytes]:
    return [event.data async for event in engine.journal.log(await engine.journal.get(ALICE, run_id))]


def expected(events: int = 3) -> list[bytes]:
    names = [key.encode() for key, _ in STEPS for _ in range(events)] + [b"end"]
    return [b"%d %s" % (number, name) for number, name in enumerate(names)]


async def test_a_run_is_executed_at_once_even_if_its_caller_leaves_before_it_is_stored(open_engine: Open) -> None:
    engine, _ = await open_engine(claims=False)  # so that nobody takes it up later
    starting = asyncio.create_task(engine.start(ALICE, NewRun("toy", b"{}")))
    await asyncio.sleep(0)
    starting.cancel()
    runs: list[Run] = []
    while not runs:
        runs, _ = await engine.journal.list_runs(ALICE, "toy")
    assert starting.cancelled()
    assert (await engine.wait(ALICE, runs[0].id)).status is RunStatus.COMPLETED


async def test_a_foreground_run_is_followed_to_its_end(open_engine: Open, effects: Path) -> None:
    engine, _ = await open_engine()
    run_id = (await engine.start(ALICE, NewRun("toy", b"{}"))).run.id
    assert await seen(engine, run_id) == expected()
    outcome = await engine.wait(ALICE, run_id)
    assert outcome == Outcome(result=json.dumps(RESULT).encode())
    run = await engine.journal.get(ALICE, run_id)
    assert (run.status, run.attempts) == ("completed", 1)
    assert await engine.journal.document(ALICE, run_id, "result") == outcome.result
    assert effects_of(effects) == [f"{run_id} {key}" for key, _ in STEPS]
    for offset in range(-1, 16):
        assert await seen(engine, run_id, offset) == expected()[offset + 1 :]
    assert await seen(engine, run_id, 99) == []


async def test_readers_from_every_offset_while_it_is_written(open_engine: Open) -> None:
    engine, toy = await open_engine()
    other, _ = await open_engine(claims=False)
    created = await engine.start(ALICE, NewRun("toy", b'{"pause": "look"}', background=True))
    await toy.paused.wait()
    readers = [
        asyncio.create_task(seen(each, created.run.id, offset)) for offset in range(-1, 16) for each in (engine, other)
    ]
    waiting = asyncio.create_task(other.wait(ALICE, created.run.id))
    await asyncio.sleep(0)
    toy.resume.set()
    for offset in range(-1, 16):
        for _ in (engine, other):
            assert await readers.pop(0) == expected()[offset + 1 :]
    assert (await waiting).result == json.dumps(RESULT).encode()


async def test_a_run_without_a_store_is_the_same_code(open_engine: Open, effects: Path) -> None:
    engine, toy = await open_engine()
    run = engine.start_ephemeral(ALICE, NewRun("toy", b"{}"), streamed=True)
    following, waiting = asyncio.create_task(seen(engine, run.id)), asyncio.create_task(engine.wait(ALICE, run.id))
    assert await following == expected()
    assert await waiting == Outcome(result=json.dumps(RESULT).encode())
    assert effects_of(effects) == [f"{run.id} {key}" for key, _ in STEPS]
    with pytest.raises(NotFound):
        await engine.journal.get(ALICE, run.id)
    with pytest.raises(NotFound):
        await seen(engine, run.id)

    run = engine.start_ephemeral(ALICE, NewRun("toy", b'{"pause": "charge"}'), streamed=True)
    following = asyncio.create_task(seen(engine, run.id))
    await toy.paused.wait()
    with pytest.raises(NotFound):
        await engine.cancel(BOB, run.id)
    await engine.cancel(ALICE, run.id)
    assert (await following)[-1] == b"6 closed cancelled after 0"


async def test_a_run_without_a_store_waits_for_its_reader(open_engine: Open) -> None:
    engine, _ = await open_engine(limits=RunLimits(uncommitted_bytes_max=100))
    run = engine.start_ephemeral(ALICE, NewRun("toy", b'{"events": 100}'), streamed=True)
    following = engine.tail(ALICE, run.id)
    finished = asyncio.create_task(engine.wait(ALICE, run.id))
    first = await anext(following)
    for _ in range(100):
        await asyncio.sleep(0)
    assert not finished.done()
    rest = [event.data async for events in following for event in events]
    assert [event.data for event in first] + rest == expected(100)
    assert (await finished).status == "completed"
    unread = engine.start_ephemeral(ALICE, NewRun("toy", b'{"events": 100}'), streamed=False)
    assert (await engine.wait(ALICE, unread.id)).status == "completed"


async def test_a_slow_reader_holds_nobody(open_engine: Open) -> None:
    engine, _ = await open_engine()
    run_id = (await engine.start(ALICE, NewRun("toy", b'{"events": 6000}'))).run.id
    following = engine.tail(ALICE, run_id)
    got = [event.data for event in await anext(following)]
    assert (await engine.wait(ALICE, run_id)).status == "completed"
    got += [event.data async for events in following for event in events]
    assert got == expected(6000)


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_cancel_reaches_the_executor(open_engine: Open, effects: Path, elsewhere: bool) -> None:
    engine, toy = await open_engine()
    other, _ = await open_engine(claims=False)
    run_id = (await engine.start(ALICE, NewRun("toy", b'{"pause": "charge"}'))).run.id
    following = asyncio.create_task(seen(engine, run_id))
    await committed(engine, run_id, 6)
    await (other if elsewhere else engine).cancel(ALICE, run_id)
    log_seen = await following
    assert log_seen == [*expected()[:6], b"6 closed cancelled after 6"]
    assert await log(engine, run_id) == log_seen
    outcome = await engine.wait(ALICE, run_id)
    assert (outcome.status, outcome.result) == ("cancelled", b'["plan", "charge"]')
    while not toy.cancelled:
        await asyncio.sleep(0.01)
    assert toy.cancelled == [run_id]
    await other.cancel(ALICE, run_id)
    assert await log(engine, run_id) == log_seen


async def test_delete_ends_a_run(open_engine: Open) -> None:
    engine, toy = await open_engine()
    run_id = (await engine.start(ALICE, NewRun("toy", b'{"pause": "charge"}'))).run.id
    following = asyncio.create_task(seen(engine, run_id))
    await toy.paused.wait()
    await engine.delete(ALICE, run_id)
    with pytest.raises(NotFound):
        await following
    while not toy.cancelled:
        await asyncio.sleep(0.01)
    with pytest.raises(NotFound):
        await engine.wait(ALICE, run_id)


async def test_a_stalled_worker_finds_its_run_taken_over(open_engine: Open, database: Database, effects: Path) -> None:
    stalled, toy = await open_engine(claims=False, timings=RunTimings(lease_s=3600))
    run_id = (await stalled.start(ALICE, NewRun("toy", b'{"pause": "charge"}'))).run.id
    following = asyncio.create_task(seen(stalled, run_id))
    await committed(stalled, run_id, 6)
    late = RunEngine(
        database,
        [Toy(effects)],
        timings=QUICK,
        limits=RunLimits(wall_time_s=1e6),
        clock=lambda: time.time() + 7200,
    )
    await late.open()
    outcome = await late.wait(ALICE, run_id)
    toy.resume.set()  # its effect is through, and its result too late
    assert json.loads(outcome.result or b"") == {**RESULT, "charge": "interrupted charge"}
    events = await following
    assert [event.split(b" ", 1)[1] for event in events] == [
        *[b"plan"] * 3,
        *[b"charge"] * 3,
        b"interrupted charge",
        *[b"look"] * 3,
        *[b"send"] * 3,
        *[b"answer"] * 3,
        b"end",
    ]
    assert [int(event.split()[0]) for event in events] == list(range(len(events)))
    assert await log(late, run_id) == events
    assert effects_of(effects).count(f"{run_id} charge") == 1
    assert (await late.journal.get(ALICE, run_id)).attempts == 2
    await late.close()


async def test_a_worker_that_closes_gives_its_runs_back(open_engine: Open, effects: Path) -> None:
    engine, toy = await open_engine()
    run_id = (await engine.start(ALICE, NewRun("toy", b'{"pause": "look"}'))).run.id
    following = asyncio.create_task(seen(engine, run_id))
    await toy.paused.wait()
    await engine.close()
    run = await engine.journal.get(ALICE, run_id)
    assert (run.status, run.attempts) == ("queued", 0)
    with pytest.raises(Overloaded, match="closing"):
        await engine.start(ALICE, NewRun("toy", b"{}"))
    next_engine, next_toy = await open_engine()
    next_toy.resume.set()
    assert json.loads((await next_engine.wait(ALICE, run_id)).result or b"") == RESULT
    assert await following == await log(next_engine, run_id)
    done = effects_of(effects)
    assert done.count(f"{run_id} look") == 2
    assert len(done) == 6


async def test_a_store_that_fails_is_like_a_crash(
    open_engine: Open, database: Database, monkeypatch: pytest.MonkeyPatch, effects: Path
) -> None:
    engine, toy = await open_engine()
    run_id = (await engine.start(ALICE, NewRun("toy", b'{"pause": "look"}'))).run.id
    following = asyncio.create_task(seen(engine, run_id))
    await toy.paused.wait()

    async def away(*_steps: object, durable: bool = False) -> None:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(database, "write", away)
        toy.resume.set()
        while not toy.cancelled:
            await asyncio.sleep(0.01)
    assert json.loads((await engine.wait(ALICE, run_id)).result or b"") == RESULT
    assert await following == await log(engine, run_id)
    assert sorted(effects_of(effects)) == sorted([*(f"{run_id} {key}" for key, _ in STEPS), f"{run_id} look"])


async def test_nothing_is_seen_before_it_is_committed(
    open_engine: Open, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, _ = await open_engine()
    gate, write, held = asyncio.Event(), database.write, asyncio.Event()

    async def gated(*steps: Any, durable: bool = False) -> Any:
        held.set()
        await gate.wait()
        return await write(*steps, durable=durable)

    run_id = (await engine.start(ALICE, NewRun("toy", b"{}"))).run.id
    got: list[bytes] = []
    following = asyncio.create_task(gather_into(got, engine, run_id))
    waiting = asyncio.create_task(engine.wait(ALICE, run_id))
    monkeypatch.setattr(database, "write", gated)
    await held.wait()
    for _ in range(100):
        await asyncio.sleep(0)
    assert got == []
    assert not waiting.done()
    assert await log(engine, run_id) == []
    gate.set()
    await following
    assert got == expected()
    assert (await waiting).status == "completed"


@pytest.mark.parametrize(
    "limits", [RunLimits.model_construct(attempts_max=0), RunLimits(wall_time_s=0.05), RunLimits(steps_max=2)]
)
async def test_a_run_beyond_its_limits_fails_and_says_so(open_engine: Open, limits: RunLimits) -> None:
    engine, _ = await open_engine(limits=limits)
    run_id = (
        await engine.start(ALICE, NewRun("toy", b'{"pause": "charge"}' if limits.wall_time_s < 1 else b"{}"))
    ).run.id
    events = await seen(engine, run_id)
    outcome = await engine.wait(ALICE, run_id)
    code, name = {
        0: ("run_attempts_exceeded", "attempts_max"),
        5: ("run_timed_out", "wall_time_s") if limits.wall_time_s < 1 else ("run_limit_exceeded", "steps_max"),
    }[limits.attempts_max]
    assert outcome.status is RunStatus.FAILED
    assert outcome.error is not None
    assert outcome.error.code == code
    assert f"server.runs.{name}" in outcome.error.message
    assert events[-1].endswith(b"closed failed after %d" % (len(events) - 1))
    assert (await engine.journal.get(ALICE, run_id)).error == outcome.error


@pytest.mark.parametrize(
    ("endurance", "code"),
    [
        (Endurance(attempts_max=2, wall_time_s=60), None),
        (Endurance(attempts_max=0, wall_time_s=60), "run_attempts_exceeded"),
        (Endurance(attempts_max=2, wall_time_s=0.05), "run_timed_out"),
    ],
)
async def test_a_kind_may_outlast_the_limits(
    database: Database, effects: Path, endurance: Endurance, code: str | None
) -> None:
    strict = RunLimits.model_construct(attempts_max=0, wall_time_s=0.0)
    engine = RunEngine(database, [Toy(effects)], limits=strict, timings=QUICK, endurance={"toy": endurance})
    await engine.open()
    try:
        payload = b'{"pause": "charge"}' if code == "run_timed_out" else b"{}"
        run_id = (await engine.start(ALICE, NewRun("toy", payload))).run.id
        outcome = await engine.wait(ALICE, run_id)
    finally:
        await engine.close()
    if code is None:
        assert outcome.status is RunStatus.COMPLETED
    else:
        assert outcome.error is not None
        assert outcome.error.code == code
        assert "server.runs" not in outcome.error.message, "no setting allows more"


@pytest.mark.parametrize("stored", [True, False])
async def test_what_an_executor_raises_fails_its_run(open_engine: Open, stored: bool) -> None:
    engine, _ = await open_engine(limits=RunLimits(log_bytes_max=200))
    for payload, code in ((b'{"fail": "charge"}', "toy_failure"), (b'{"events": 50}', "run_limit_exceeded")):
        if stored:
            run = (await engine.start(ALICE, NewRun("toy", payload))).run
        else:
            run = engine.start_ephemeral(ALICE, NewRun("toy", payload), streamed=False)
        outcome = await engine.wait(ALICE, run.id)
        assert outcome.status is RunStatus.FAILED
        assert outcome.error is not None
        assert outcome.error.code == code
    run = (await engine.start(ALICE, NewRun("toy", b"not json"))).run
    outcome = await engine.wait(ALICE, run.id)
    assert outcome.error is not None
    assert outcome.error.code == "internal_error"
    assert "json" not in outcome.error.message


async def test_only_the_owner_follows_waits_and_cancels(open_engine: Open) -> None:
    engine, toy = await open_engine()
    run_id = (await engine.start(ALICE, NewRun("toy", b'{"pause": "charge"}'))).run.id
    await toy.paused.wait()
    for _ in range(2):
        with pytest.raises(NotFound):
            await seen(engine, run_id, principal=BOB)
        with pytest.raises(NotFound):
            await engine.wait(BOB, run_id)
        with pytest.raises(NotFound):
            await engine.cancel(BOB, run_id)
        with pytest.raises(NotFound):
            await engine.delete(BOB, run_id)
        toy.resume.set()
        assert (await engine.wait(ALICE, run_id)).status == "completed"


async def test_the_same_idempotency_key_executes_once(open_engine: Open, effects: Path) -> None:
    engine, _ = await open_engine()
    new = NewRun("toy", b"{}", idempotency_key="once")
    started = await asyncio.gather(*(engine.start(ALICE, new) for _ in range(8)))
    run_id = started[0].run.id
    logs = await asyncio.gather(*(seen(engine, each.run.id) for each in started))
    assert logs == [expected()] * 8
    assert effects_of(effects) == [f"{run_id} {key}" for key, _ in STEPS]


async def test_what_executes_at_once_is_bounded(open_engine: Open) -> None:
    engine, toy = await open_engine(limits=RunLimits(foreground_max=2, concurrent_max=3))
    paused = NewRun("toy", b'{"pause": "plan"}')
    for _ in range(2):
        await engine.start(ALICE, paused)
    with pytest.raises(Overloaded, match=r"server\.runs\.foreground_max"):
        await engine.start(ALICE, paused)
    with pytest.raises(Overloaded, match=r"server\.runs\.foreground_max"):
        engine.start_ephemeral(ALICE, paused, streamed=False)
    queued = [await engine.start(ALICE, replace(paused, background=True)) for _ in range(5)]
    statuses: list[str] = []
    while statuses.count("running") < 3:
        statuses = [(await engine.journal.get(ALICE, each.run.id)).status for each in queued]
    assert statuses.count("queued") == 2
    toy.resume.set()
    for each in queued:
        assert (await engine.wait(ALICE, each.run.id)).status == "completed"


async def test_what_was_claimed_and_never_started_is_given_back(open_engine: Open, database: Database) -> None:
    """As after a store that failed between the two: first the heartbeat finds it, then the close."""
    engine = RunEngine(database, [Toy(Path("/dev/null"))], timings=QUICK, claims=False, holder="w")
    await engine.open()
    run_id = (await engine.start(ALICE, NewRun("toy", b"{}", background=True))).run.id
    for close in (False, True):
        await engine.journal.claim(["toy"], "w", lease_s=1000)
        if close:
            await engine.close()
        else:
            await engine.start(ALICE, NewRun("toy", b'{"pause": "plan"}'))  # so that there is a heartbeat
        while (run := await engine.journal.get(ALICE, run_id)).status != "queued":
            await asyncio.sleep(0.02)
        assert run.attempts == 0


class Other(Toy):
    name = "other"


async def test_a_kind_with_places_of_its_own_takes_none_of_the_others(database: Database, effects: Path) -> None:
    toy, other = Toy(effects), Other(effects)
    engine = RunEngine(database, [toy, other], limits=RunLimits(concurrent_max=2), timings=QUICK, places={"other": 3})
    await engine.open()
    async with asyncio.timeout(30):
        paused = NewRun("other", b'{"pause": "look"}', background=True)
        waiting = [(await engine.start(ALICE, paused)).run.id for _ in range(5)]
        first = [(await engine.start(ALICE, NewRun("toy", b"{}", background=True))).run.id for _ in range(3)]
        for run_id in first:
            assert (await engine.wait(ALICE, run_id)).status is RunStatus.COMPLETED
        states: list[str] = []
        while states.count("running") < 3:
            states = [(await engine.journal.get(ALICE, run_id)).status for run_id in waiting]
        assert states == ["running"] * 3 + ["queued"] * 2
        other.resume.set()
        for run_id in waiting:
            assert (await engine.wait(ALICE, run_id)).status is RunStatus.COMPLETED
    await engine.close()
