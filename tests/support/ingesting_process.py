"""A process of its own that ingests files and dies when it is told to: at its n-th write, embedding or change of the
index, by SIGKILL."""

from __future__ import annotations

import asyncio
import multiprocessing
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from llama_stack.storage.sql.database import Params, Prepared, Written
from llama_stack.storage.sql.open import SqlBackendConfig, open_sql
from tests.support.embedding import HashingEmbedder
from tests.support.ingesting import OWNER, ingesting
from tests.support.kept_index import KeptIndex
from tests.support.toy_runs import die

PRELOADED = ["llama_stack.storage.sql.sqlite", "llama_stack.storage.sql.postgres"]


@dataclass(frozen=True)
class IngestingProcess:
    """Begins what is attached to the store, and ends once nothing of it is in progress. `dies_at`: the number of the
    point before which it is killed."""

    backend: SqlBackendConfig
    folder: Path
    store: str
    dies_at: int | None = None

    def start(self) -> ForkServerProcess:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, *PRELOADED])
        process = context.Process(target=self.run, daemon=True)
        process.start()
        return process

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        points = 0

        def reached() -> None:
            nonlocal points
            points += 1
            if points == self.dies_at:
                die()

        async def embedding() -> None:
            reached()

        database: Any = await open_sql(self.backend)
        write = database.write

        async def counted(*steps: tuple[Prepared, Params], durable: bool = False) -> list[Written]:
            reached()
            written: list[Written] = await write(*steps, durable=durable)
            reached()
            return written

        database.write = counted
        embeddings = HashingEmbedder()
        embeddings.before = embedding
        index = KeptIndex(self.folder / ".index.db", reached)
        async with ingesting(database, self.folder, embeddings, index=index) as site:
            files = await site.settled(await site.tables.stores.get(OWNER, self.store))
            for run in (file.run for file in files.values()):
                assert run is not None
                await site.engine.wait(OWNER, run)
        await database.close()
