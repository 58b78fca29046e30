"""The engine of runs: responses and the ingestion of files are both its kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from llama_stack.config.runs import RunsConfig
from llama_stack.runs.engine import RunEngine
from llama_stack.runs.handle import Kind
from llama_stack.storage.sql.database import Database
from llama_stack.telemetry.metrics import Metrics


async def open_runs(
    runs: RunsConfig,
    database: Database,
    kinds: Sequence[Kind],
    places: Mapping[str, int],
    metrics: Metrics,
    exits: AsyncExitStack,
) -> RunEngine:
    """From here on, runs of other processes that are gone are taken up too. `places`: how many runs of a kind are
    executed at a time, where they are not to take those of the others."""
    engine = RunEngine(
        database, kinds, limits=runs, timings=runs, claims=runs.execute, places=places, observer=metrics.runs
    )
    await engine.open()
    exits.push_async_callback(engine.close)
    return engine
