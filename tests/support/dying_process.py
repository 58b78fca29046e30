"""A process of its own that dies when it is told to: at its n-th write, or other point, by SIGKILL."""

from __future__ import annotations

import asyncio
import multiprocessing
from abc import ABC, abstractmethod
from multiprocessing.context import ForkServerProcess
from typing import Any

from llama_stack.storage.sql.database import Params, Prepared, Written
from llama_stack.storage.sql.open import SqlBackendConfig, open_sql
from tests.support.toy_runs import die

PRELOADED = ["llama_stack.storage.sql.sqlite", "llama_stack.storage.sql.postgres"]


class Points:
    """The points at which a process may die; `dies_at` is the number of the one at which it does."""

    def __init__(self, dies_at: int | None) -> None:
        self._dies_at = dies_at
        self._count = 0

    def reached(self, _point: str = "") -> None:
        self._count += 1
        if self._count == self._dies_at:
            die()


class DyingProcess(ABC):
    """`dies_at`: the number of the point before which it is killed. Each write to the database is two: before it, and
    after."""

    backend: SqlBackendConfig
    dies_at: int | None

    @abstractmethod
    async def serve(self, database: Any, points: Points) -> None:
        """What it does with the database, until it ends or dies."""

    def start(self) -> ForkServerProcess:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([type(self).__module__, *PRELOADED])
        process = context.Process(target=self.run, daemon=True)
        process.start()
        return process

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        points = Points(self.dies_at)
        database: Any = await open_sql(self.backend)
        write = database.write

        async def counted(*steps: tuple[Prepared, Params], durable: bool = False) -> list[Written]:
            points.reached()
            written: list[Written] = await write(*steps, durable=durable)
            points.reached()
            return written

        database.write = counted
        await self.serve(database, points)
        await database.close()
