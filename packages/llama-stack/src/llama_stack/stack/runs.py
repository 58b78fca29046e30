"""The engine of runs: responses, the ingestion of files and batches are its kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from llama_stack.config.runs import RunsConfig
from llama_stack.runs.engine import RunEngine
from llama_stack.runs.handle import Kind
from llama_stack.runs.limits import Endurance
from llama_stack.storage.sql.database import Database
from llama_stack.telemetry.metrics import Metrics


async def open_runs(
    runs: RunsConfig,
    database: Database,
    kinds: Sequence[Kind],
    places: Mapping[str, int],
    endurance: Mapping[str, Endurance],
    metrics: Metrics,
    exits: AsyncExitStack,
) -> RunEngine:
    """From here on, runs of other processes that are gone are taken up too. `places`: how many runs of a kind are
    executed at a time, where they are not to take those of the others; `endurance`: how long they may take, where it is
    more than for others."""
    engine = RunEngine(
        database,
        kinds,
        limits=runs,
        timings=runs,
        claims=runs.execute,
        places=places,
        endurance=endurance,
        observer=metrics.runs,
    )
    await engine.open()
    exits.push_async_callback(engine.close)
    return engine
