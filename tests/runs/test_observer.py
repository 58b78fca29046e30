"""What is counted of runs, as Prometheus sees it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from llama_stack.runs.engine import RunEngine
from llama_stack.runs.journal import Commit
from llama_stack.runs.limits import RunTimings
from llama_stack.runs.model import NewRun
from llama_stack.storage.sql.database import Database
from llama_stack.telemetry.metrics import Metrics
from llama_stack_api.principal import Principal
from tests.support.toy_runs import Toy

pytestmark = pytest.mark.anyio

ALICE = Principal("alice", "acme")


def samples(metrics: Metrics) -> dict[str, float]:
    found = re.findall(r"^llama_stack_(run[^ ]*) ([0-9.e+-]+)$", metrics.render().decode(), re.MULTILINE)
    return {name: float(value) for name, value in found if "_bucket" not in name and "_created" not in name}


async def test_runs_are_counted(database: Database, tmp_path: Path) -> None:
    metrics, toy = Metrics(), Toy(tmp_path / "effects")
    timings = RunTimings(lease_s=5, poll_s=0.02, drain_s=0)
    engine = RunEngine(database, [toy], timings=timings, observer=metrics.runs, claims=False)
    await engine.open()
    assert (await engine.wait(ALICE, (await engine.start(ALICE, NewRun("toy", b"{}"))).run.id)).status == "completed"
    cancelled = (await engine.start(ALICE, NewRun("toy", b'{"pause": "charge"}'))).run.id
    await toy.paused.wait()
    assert samples(metrics)['runs_executing{kind="toy"}'] == 1
    await engine.cancel(ALICE, cancelled)
    await engine.cancel(ALICE, cancelled)
    unstored = engine.start_ephemeral(ALICE, NewRun("toy", b'{"fail": "look"}'), streamed=False)
    assert (await engine.wait(ALICE, unstored.id)).status == "failed"
    toy.paused.clear()
    await engine.start(ALICE, NewRun("toy", b'{"pause": "send"}'))
    await toy.paused.wait()
    await engine.start(ALICE, NewRun("toy", b"{}", background=True))
    await engine.close()

    found = samples(metrics)
    expected = {
        'runs_total{kind="toy",status="completed"}': 1,
        'runs_total{kind="toy",status="cancelled"}': 1,
        'runs_total{kind="toy",status="failed"}': 1,
        'run_duration_seconds_count{kind="toy"}': 3,
        'runs_executing{kind="toy"}': 0,
        'run_steps_total{kind="tool",outcome="done"}': 5 + 1 + 2 + 3,
        'run_steps_total{kind="tool",outcome="failed"}': 1,
    }
    assert {name: found.get(name) for name in expected} == expected
    assert found["run_events_total"] >= 16
    assert found["run_commit_seconds_count"] >= 3

    toy.resume.set()
    worker = RunEngine(database, [toy], timings=timings, observer=metrics.runs)
    await worker.open()
    async with asyncio.timeout(30):
        while (found := samples(metrics)).get('runs_total{kind="toy",status="completed"}') != 3:
            await asyncio.sleep(0.01)
    assert found['runs_taken_up_total{kind="toy"}'] == 1
    assert found['run_steps_total{kind="tool",outcome="interrupted"}'] == 1
    await worker.close()


async def test_a_run_that_hears_of_its_own_end_is_counted(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That a run has moved on is told to whoever executes it, too; here before it knows that its end is written."""
    metrics = Metrics()
    engine = RunEngine(database, [Toy(tmp_path / "effects")], observer=metrics.runs, claims=False)
    written = engine.journal.commit

    async def told_at_once(commit: Commit) -> None:
        await written(commit)
        if commit.outcome is not None:
            engine._worker.check(commit.run_id)
            await asyncio.sleep(0.1)

    monkeypatch.setattr(engine.journal, "commit", told_at_once)
    await engine.open()
    run = (await engine.start(ALICE, NewRun("toy", b"{}"))).run
    assert (await engine.wait(ALICE, run.id)).status == "completed"
    await engine.close()
    assert samples(metrics)['runs_total{kind="toy",status="completed"}'] == 1


async def test_what_waits_is_counted(database: Database) -> None:
    metrics = Metrics()
    engine = RunEngine(database, [Toy(Path("/dev/null"))], observer=metrics.runs, claims=False)
    await engine.open()
    for _ in range(3):
        await engine.start(ALICE, NewRun("toy", b"{}", background=True))
    await engine.start(ALICE, NewRun("toy", b"{}", not_before=4e9))
    assert await engine.journal.waiting() == 3
    await engine.close()
