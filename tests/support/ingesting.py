"""A server's ingestion without the server: the run engine, its kind and the dispatcher over a real database, files in
a folder, and an index that outlives its process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llama_stack.config.vector_stores import VectorStoresConfig
from llama_stack.rag.contextual import ContextWriter
from llama_stack.rag.dispatcher import Dispatcher
from llama_stack.rag.embed import Embedder
from llama_stack.rag.ingest import IngestionKind, Tables
from llama_stack.rag.job import KIND
from llama_stack.rag.ports import CompletionPort, EmbeddingPort, InsertMetrics, Parser
from llama_stack.rag.retry import Patience
from llama_stack.rag.strategy import chunking_of
from llama_stack.rag.upkeep import IngestionUpkeep
from llama_stack.runs.engine import RunEngine
from llama_stack.runs.limits import RunLimits, RunTimings
from llama_stack.runs.secrets import Sealer
from llama_stack.storage.sql.database import Database
from llama_stack.storage.sql.knowledge.batches import FileBatchTable
from llama_stack.storage.sql.knowledge.changes import StoreChanges
from llama_stack.storage.sql.knowledge.chunks import ChunkTable
from llama_stack.storage.sql.knowledge.files import AttachedFileTable
from llama_stack.storage.sql.knowledge.records import AttachedFile, ChunkRecord, NewAttachment, NewStore, StoreRecord
from llama_stack.storage.sql.knowledge.stores import VectorStoreTable
from llama_stack_api.errors import InvalidFile, NotFound, UnsupportedFile
from llama_stack_api.ports.file_processors import ParsedFile, SourceFile
from llama_stack_api.ports.vector_io import VectorIndex
from llama_stack_api.principal import Call, Principal
from tests.support.embedding import DIMENSION
from tests.support.kept_index import PROVIDER, KeptIndex, OneIndex

OWNER = Principal(id="alice", tenant="acme")
CALL = Call(principal=OWNER)
TIMINGS = RunTimings(lease_s=0.9, poll_s=0.02, batch_s=0.005, drain_s=0.2)
PATIENCE = Patience(tries=4, first_s=0.001, longest_s=0.01)
SMALL = {"type": "static", "static": {"max_chunk_size_tokens": 20, "chunk_overlap_tokens": 5}}
POISON = "POISON"
STRANGE = "STRANGE"


class FolderFiles:
    """`rag.ports.FileContents`: a file's id is its name in the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def open_local(self, principal: Principal, file_id: str) -> AbstractAsyncContextManager[SourceFile]:
        path = self._folder / file_id
        if not path.exists():
            raise NotFound(f"There is no file '{file_id}'.")
        return self._opened(path)

    @asynccontextmanager
    async def _opened(self, path: Path) -> AsyncIterator[SourceFile]:
        yield SourceFile(path, path.name, "text/plain")


class PlainParser:
    """`rag.ports.Parser` of UTF-8, which knows two kinds of bad files by how they begin."""

    async def parse(self, source: SourceFile, call: Call) -> ParsedFile:
        text = source.path.read_text()
        if text.startswith(POISON):
            raise InvalidFile("the file is broken")
        if text.startswith(STRANGE):
            raise UnsupportedFile("the file is of no known type")
        return ParsedFile(text, "text/plain", "plain")


class Silence:
    """`rag.ports.CompletionPort` of a server without a model."""

    async def complete(self, model: str, prompt: str, *, max_tokens: int, temperature: float | None, call: Call) -> str:
        raise NotFound(f"There is no model '{model}'.")


@dataclass(frozen=True)
class Ingesting:
    tables: Tables
    batches: FileBatchTable
    engine: RunEngine
    dispatcher: Dispatcher
    upkeep: IngestionUpkeep
    index: KeptIndex
    folder: Path

    async def new_store(self, owner: Principal = OWNER) -> StoreRecord:
        return await self.tables.stores.create(owner, NewStore("store", PROVIDER, "hashing", DIMENSION))

    async def attach(
        self,
        store: StoreRecord,
        contents: Mapping[str, str],
        *,
        call: Call = CALL,
        chunking: dict[str, Any] | None = None,
        attributes: dict[str, str | float | bool] | None = None,
        batch: str | None = None,
    ) -> list[AttachedFile]:
        """Write the files into the folder, attach them, and have them begun."""
        for name, text in contents.items():
            (self.folder / name).write_text(text)
        new = [NewAttachment(name, f"{name}.txt", dict(attributes or {}), chunking or SMALL) for name in contents]
        files = await self.tables.files.attach(call.principal, store.id, new, batch=batch)
        await self.dispatcher.begin(call, store, files)
        return list(files)

    async def settled(self, store: StoreRecord, owner: Principal = OWNER) -> dict[str, AttachedFile]:
        """The store's files, once none is in progress."""
        async with asyncio.timeout(60):
            while (await self.tables.stores.get(owner, store.id)).counts.in_progress:
                await asyncio.sleep(0.01)
        return await self.files(store, owner)

    async def files(self, store: StoreRecord, owner: Principal = OWNER) -> dict[str, AttachedFile]:
        page = await self.tables.files.list(owner, store.id, limit=100)
        return {file.file: file for file in page.items}

    async def chunks(self, store: StoreRecord, file: str) -> list[ChunkRecord]:
        found: list[ChunkRecord] = []
        while page := await self.tables.chunks.of_document(
            store.id, file, after_ordinal=found[-1].ordinal if found else None, limit=500
        ):
            found += page
        return found


@asynccontextmanager
async def ingesting(
    database: Database,
    folder: Path,
    embeddings: EmbeddingPort,
    *,
    index: KeptIndex | None = None,
    provider: VectorIndex | None = None,
    parser: Parser | None = None,
    completions: CompletionPort | None = None,
    sealer: Sealer | None = None,
    limits: RunLimits | None = None,
    at_once: int = 3,
    dispatches: bool = True,
    metrics: InsertMetrics | None = None,
) -> AsyncIterator[Ingesting]:
    kept = index or KeptIndex(folder / ".index.db")
    indexes = OneIndex(provider or kept)
    tables = Tables(
        VectorStoreTable(database), AttachedFileTable(database), ChunkTable(database), StoreChanges(database)
    )
    kind = IngestionKind(
        tables=tables,
        contents=FolderFiles(folder),
        parser=parser or PlainParser(),
        embedder=Embedder(embeddings, tables.chunks, patience=PATIENCE),
        contexts=ContextWriter(completions or Silence(), document_tokens_max=1000, patience=PATIENCE),
        indexes=indexes,
        sealer=sealer,
        patience=PATIENCE,
        metrics=metrics,
    )
    engine = RunEngine(database, [kind], limits=limits, timings=TIMINGS, places={KIND: at_once})
    dispatcher = Dispatcher(engine, tables.files, sealer=sealer, alone=True)
    # For the sweepers, everything is long ago.
    upkeep = IngestionUpkeep(engine, tables.files, tables.changes, indexes, clock=lambda: time.time() + 3600)
    await engine.open()
    if dispatches:
        dispatcher.open()
    try:
        yield Ingesting(tables, FileBatchTable(database), engine, dispatcher, upkeep, kept, folder)
    finally:
        await dispatcher.close()
        await engine.close()
        kept.close()


def auto_chunking() -> dict[str, Any]:
    return chunking_of(None, None, VectorStoresConfig())
