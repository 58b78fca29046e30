"""A process of its own that executes toy runs, and may die at a write or an effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llama_stack.runs.engine import RunEngine
from llama_stack.runs.limits import RunTimings
from llama_stack.runs.model import Outcome
from llama_stack.storage.sql.open import SqlBackendConfig
from llama_stack_api.principal import Principal
from tests.support.dying_process import DyingProcess, Points
from tests.support.toy_runs import Toy

OWNER = Principal(id="alice", tenant="acme")
TIMINGS = RunTimings(lease_s=0.9, poll_s=0.02, batch_s=0.005, drain_s=1.0)


@dataclass(frozen=True)
class ToyProcess(DyingProcess):
    """`await_runs`: ends once these have. `holder`: under which it takes leases."""

    backend: SqlBackendConfig
    effects: Path
    await_runs: Sequence[str]
    dies_at: int | None = None
    holder: str | None = None

    async def serve(self, database: Any, points: Points) -> None:
        engine = RunEngine(database, [Toy(self.effects, points.reached)], timings=TIMINGS, holder=self.holder)
        await engine.open()
        ended: list[Outcome] = [await engine.wait(OWNER, run_id) for run_id in self.await_runs]
        assert len(ended) == len(self.await_runs)
        await engine.close()
