"""A process of its own that executes toy runs and dies when it is told to: at its n-th write or effect, by SIGKILL."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from llama_stack.runs.engine import RunEngine
from llama_stack.runs.limits import RunTimings
from llama_stack.runs.model import Outcome
from llama_stack.storage.sql.database import Params, Prepared, Written
from llama_stack.storage.sql.open import SqlBackendConfig, open_sql
from llama_stack_api.principal import Principal
from tests.support.toy_runs import Toy, die

OWNER = Principal(id="alice", tenant="acme")
TIMINGS = RunTimings(lease_s=0.9, poll_s=0.02, batch_s=0.005, drain_s=1.0)


@dataclass(frozen=True)
class ToyProcess:
    """`await_runs`: ends once these have. `dies_at`: the number of the write or effect before which it is killed.
    `holder`: under which it takes leases."""

    backend: SqlBackendConfig
    effects: Path
    await_runs: Sequence[str]
    dies_at: int | None = None
    holder: str | None = None

    def start(self) -> ForkServerProcess:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, "llama_stack.storage.sql.sqlite", "llama_stack.storage.sql.postgres"])
        process = context.Process(target=self.run, daemon=True)
        process.start()
        return process

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        points = 0

        def reached(_point: str = "") -> None:
            nonlocal points
            points += 1
            if points == self.dies_at:
                die()

        database: Any = await open_sql(self.backend)
        write = database.write

        async def counted(*steps: tuple[Prepared, Params], durable: bool = False) -> list[Written]:
            reached()
            written: list[Written] = await write(*steps, durable=durable)
            reached()
            return written

        database.write = counted
        engine = RunEngine(database, [Toy(self.effects, reached)], timings=TIMINGS, holder=self.holder)
        await engine.open()
        ended: list[Outcome] = [await engine.wait(OWNER, run_id) for run_id in self.await_runs]
        assert len(ended) == len(self.await_runs)
        await engine.close()
        await database.close()
