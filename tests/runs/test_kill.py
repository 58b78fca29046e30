"""Workers that are killed: every run ends, no effect happens twice that must not, and readers see exactly the log."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from llama_stack.config.storage import SqlSqliteBackend
from llama_stack.runs.engine import RunEngine
from llama_stack.runs.journal import Journal
from llama_stack.runs.limits import RunTimings
from llama_stack.runs.model import NewRun
from llama_stack.storage.sql.open import SqlBackendConfig, open_sql
from tests.support.databases import Postgres
from tests.support.toy_process import OWNER, TIMINGS, ToyProcess
from tests.support.toy_runs import STEPS, effects_of

pytestmark = pytest.mark.anyio

POINTS_MAX = 34
"""About as many as an undisturbed run reaches."""
KILLS_MAX = 3
SEEDS = int(os.environ.get("DURABILITY_SEEDS", "8"))
READING = RunTimings(poll_s=0.01)


async def queue_runs(backend: SqlBackendConfig, count: int) -> list[str]:
    database = await open_sql(backend)
    journal = Journal(database)
    runs = [(await journal.create(OWNER, NewRun("toy", b"{}", background=True))).run.id for _ in range(count)]
    await database.close()
    return runs


async def ended(process: ForkServerProcess) -> int:
    await asyncio.to_thread(process.join, 30)
    assert process.exitcode is not None
    return process.exitcode


class Client:
    """Follows a run from a process beside the server, and comes back whenever it was cut off."""

    def __init__(self, engine: RunEngine, run_id: str, rng: random.Random) -> None:
        self.events: list[bytes] = []
        self._engine = engine
        self._run_id = run_id
        self._rng = rng

    async def follow(self) -> None:
        while not await self._connect(self._rng.randint(1, 8)):
            pass

    async def _connect(self, events_max: int) -> bool:
        async for events in self._engine.tail(OWNER, self._run_id, starting_after=len(self.events) - 1):
            for number, data in events[:events_max]:
                assert number == len(self.events), "no gap, no repeat"
                self.events.append(data)
            if len(events) >= events_max:
                return False
            events_max -= len(events)
        return True


async def check(engine: RunEngine, run_id: str, client: Client, effects: Path, kills: int) -> None:
    run = await engine.journal.get(OWNER, run_id)
    assert run.status == "completed"
    assert 1 <= run.attempts <= kills + 1
    results = json.loads(await engine.journal.document(OWNER, run_id, "result") or b"")
    assert list(results) == [key for key, _ in STEPS]
    done = effects_of(effects)
    for key, idempotent in STEPS:
        times = done.count(f"{run_id} {key}")
        if idempotent:
            assert results[key] == f"did {key}"
            assert 1 <= times <= kills + 1
        else:
            assert (results[key], times) in ((f"did {key}", 1), (f"interrupted {key}", 0), (f"interrupted {key}", 1))
    log = [event.data async for event in engine.journal.log(run)]
    assert client.events == log
    assert [int(event.split()[0]) for event in log] == list(range(len(log)))
    assert log[-1].endswith(b" end")
    assert sum(event.endswith(b" end") for event in log) == 1
    for key in (key for key, result in results.items() if result.startswith("interrupted")):
        assert any(event.endswith(b" interrupted " + key.encode()) for event in log)


async def kill_and_restart(backend: SqlBackendConfig, effects: Path, rng: random.Random, run_id: str) -> int:
    """Start workers that die, until one comes through; how many died."""
    kills = 0
    while True:
        dies_at = rng.randint(1, POINTS_MAX) if kills < KILLS_MAX else None
        exit_code = await ended(ToyProcess(backend, effects, [run_id], dies_at).start())
        if exit_code == 0:
            return kills
        assert exit_code == -9
        kills += 1


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_one_worker_is_killed_and_started_again(tmp_path: Path, seed: int) -> None:
    backend, effects, rng = SqlSqliteBackend(db_path=tmp_path / "runs.db"), tmp_path / "effects", random.Random(seed)
    (run_id,) = await queue_runs(backend, 1)
    database = await open_sql(backend, read_only=True)
    engine = RunEngine(database, [], timings=READING)
    client = Client(engine, run_id, rng)
    async with asyncio.timeout(60):
        following = asyncio.create_task(client.follow())
        kills = await kill_and_restart(backend, effects, random.Random(seed), run_id)
        await following
    await check(engine, run_id, client, effects, kills)
    await database.close()


@pytest.mark.parametrize("seed", range(SEEDS // 2))
async def test_one_of_two_workers_is_killed(postgres: Postgres, tmp_path: Path, seed: int) -> None:
    """Its runs are taken over by the other: at the next heartbeat on the same machine, else when the lease ends."""
    backend, effects = postgres.sql_backend(postgres.create_database()), tmp_path / "effects"
    rng = random.Random(1000 + seed)
    runs = await queue_runs(backend, 4)
    database = await open_sql(backend)
    engine = RunEngine(database, [], timings=READING)
    clients = [Client(engine, run_id, rng) for run_id in runs]
    async with asyncio.timeout(60):
        following = [asyncio.create_task(client.follow()) for client in clients]
        victim = ToyProcess(
            backend, effects, runs, rng.randint(2, 2 * POINTS_MAX), "a/far/machine" if seed % 2 else None
        )
        victim_process = victim.start()
        survivor = ToyProcess(backend, effects, runs).start()
        killed = await ended(victim_process) == -9
        at = time.monotonic()
        await asyncio.gather(*following)
        took_s = time.monotonic() - at
        assert await ended(survivor) == 0
    for run_id, client in zip(runs, clients, strict=True):
        await check(engine, run_id, client, effects, int(killed))
    assert took_s < TIMINGS.lease_s + 2.0, "a lease, and the time of the runs themselves on a busy machine"
    await database.close()
