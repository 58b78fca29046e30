"""A process of its own that ingests files, and may die at a write, an embedding or a change of the index."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llama_stack.storage.sql.open import SqlBackendConfig
from tests.support.dying_process import DyingProcess, Points
from tests.support.embedding import HashingEmbedder
from tests.support.ingesting import OWNER, ingesting
from tests.support.kept_index import KeptIndex


@dataclass(frozen=True)
class IngestingProcess(DyingProcess):
    """Begins what is attached to the store, and ends once nothing of it is in progress."""

    backend: SqlBackendConfig
    folder: Path
    store: str
    dies_at: int | None = None

    async def serve(self, database: Any, points: Points) -> None:
        async def embedding() -> None:
            points.reached()

        embeddings = HashingEmbedder()
        embeddings.before = embedding
        index = KeptIndex(self.folder / ".index.db", points.reached)
        async with ingesting(database, self.folder, embeddings, index=index) as site:
            files = await site.settled(await site.tables.stores.get(OWNER, self.store))
            for run in (file.run for file in files.values()):
                assert run is not None
                await site.engine.wait(OWNER, run)
