"""Batches: what carries them out, who answers their requests, and the sweep."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from llama_stack.config.server import ServerConfig
from llama_stack.runs.engine import RunEngine
from llama_stack.runs.limits import Endurance
from llama_stack.security.sealing import KeySealer
from llama_stack.services.batches.job import WINDOW_S
from llama_stack.services.batches.kind import BatchKind
from llama_stack.services.batches.lines import Endpoint, LineLimits, LineRunner
from llama_stack.services.batches.openai import BatchService
from llama_stack.services.batches.output import BatchOutputs
from llama_stack.services.batches.pace import Pace
from llama_stack.services.batches.starting import BatchStarter
from llama_stack.services.batches.sweep import BatchSweep
from llama_stack.services.batches.under_way import Lines
from llama_stack.stack.files import FileParts
from llama_stack.storage.sql.batch_removal import BatchRemoval
from llama_stack.storage.sql.batches import BatchTable
from llama_stack.storage.sql.database import Database
from llama_stack.storage.sweeper import Sweeper

ENDURANCE: Final = Endurance(attempts_max=100, wall_time_s=WINDOW_S + 3600)
"""A batch has its window, and time to write its files; servers may be started again as often as that."""
FORWARDED: Final = frozenset({"anthropic-beta"})
"""Headers that requests of a batch keep, whatever providers are configured to pass on."""


@dataclass(frozen=True, slots=True)
class Batching:
    """What there is before the runs. `lines` is set once the services are there that answer requests."""

    table: BatchTable
    lines: asyncio.Future[Lines]
    kind: BatchKind


def batching(server: ServerConfig, files: FileParts, database: Database, sealer: KeySealer) -> Batching:
    table = BatchTable(database)
    lines: asyncio.Future[Lines] = asyncio.get_running_loop().create_future()
    kind = BatchKind(
        batches=table,
        lines=lines,
        inputs=files.local,
        outputs=BatchOutputs(table, files.files),
        sealer=sealer,
        config=server.batches,
    )
    return Batching(table, lines, kind)


def batch_starter(made: Batching, engine: RunEngine, sealer: KeySealer, forwarded: Collection[str]) -> BatchStarter:
    return BatchStarter(made.table, engine, sealer, FORWARDED.union(forwarded))


def open_batches(
    server: ServerConfig,
    made: Batching,
    *,
    openai: Mapping[str, Endpoint],
    others: Mapping[str, Endpoint],
    starter: BatchStarter,
    files: FileParts,
    database: Database,
    exits: AsyncExitStack,
) -> BatchService:
    """From here on, batches are carried out. `openai` are the endpoints of OpenAI's batches, `others` those of other
    APIs' batches."""
    config, limits = server.batches, server.limits
    line_limits = LineLimits(config.line_bytes_max, limits.json_depth_max, limits.request_timeout_s)
    made.lines.set_result(LineRunner({**openai, **others}, Pace(config.requests_concurrent_max), line_limits))
    sweeper = Sweeper("batches", BatchSweep(BatchRemoval(database), config), soon=True)
    sweeper.start()
    exits.push_async_callback(sweeper.stop)
    return BatchService(made.table, files.files, starter, openai)
