"""Vectors and full text in a SQLite file beside the server's own, by the extension sqlite-vec."""

from __future__ import annotations

import asyncio
import contextlib
import queue
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from llama_stack.providers._shared.sqlite_vectors import reading, writing
from llama_stack.providers._shared.sqlite_vectors.file import connect, prepare, snapshot
from llama_stack.providers._shared.threads import Threads
from llama_stack_api.api import Api
from llama_stack_api.errors import NotImplementedByProvider
from llama_stack_api.ports.vector_io import Attributes, Hit, Index, IndexedChunk, KeywordQuery, VectorQuery
from llama_stack_api.provider import ProviderContext, provider

if TYPE_CHECKING:
    import apsw

R = TypeVar("R")


class SqliteVecConfig(BaseModel):
    # An unknown key is the server's to report; `persistence` and `kvstore` of other servers are such.
    model_config = ConfigDict(extra="allow", defer_build=True)

    db_path: Path | None = None
    """The file, for this provider alone. None: `sqlite_vec.db` among the server's own files."""
    search_threads: int = Field(default=4, ge=1, le=64)
    """Searches at a time, each with a connection of its own."""


@provider(
    api=Api.vector_io,
    type="inline::sqlite-vec",
    former_types=("inline::sqlite_vec",),
    description="Vector and keyword search in a SQLite file (sqlite-vec, FTS5): little memory, every search exact; the "
    "time of a search grows with the index.",
    config=SqliteVecConfig,
    sample={"db_path": "${env.SQLITE_VEC_DB_PATH:=}"},
    turned_on_by="ENABLE_SQLITE_VEC",
    pip_packages=("apsw>=3.46,<4", "sqlite-vec>=0.1.6,<1"),
)
class SqliteVec:
    def __init__(self, config: SqliteVecConfig, context: ProviderContext) -> None:
        self._name = context.provider_id
        self._path = (config.db_path or context.state_dir / "sqlite_vec.db").expanduser()
        self._writing = Threads(f"{self._name} writing", threads_max=1)
        self._reading = Threads(self._name, threads_max=config.search_threads)
        self._writer: apsw.Connection | None = None
        self._readers: queue.SimpleQueue[apsw.Connection] = queue.SimpleQueue()
        """Connections that no search uses; made as they are needed."""

    async def open(self) -> None:
        missing = [package for package in ("apsw", "sqlite_vec") if find_spec(package) is None]
        if missing:
            raise NotImplementedByProvider(
                f"Provider '{self._name}' needs {' and '.join(missing)}: pip install 'llama-stack[sqlite-vec]'."
            )
        self._writing.open()
        self._reading.open()
        await self._writing.run(prepare, self._path)
        self._writer = await self._writing.run(connect, self._path)

    async def close(self) -> None:
        await self._writing.close()
        await self._reading.close()
        await asyncio.to_thread(self._disconnect)

    async def create_index(self, index: Index) -> None:
        await self._write(lambda connection: writing.create_index(connection, index))

    async def delete_index(self, index: Index) -> None:
        await self._write(lambda connection: writing.delete_index(connection, index))

    async def upsert_chunks(self, index: Index, chunks: Sequence[IndexedChunk]) -> None:
        await self._write(lambda connection: writing.upsert_chunks(connection, index, chunks))

    async def delete_document(self, index: Index, document: str) -> None:
        await self._write(lambda connection: writing.delete_document(connection, index, document))

    async def set_attributes(self, index: Index, document: str, attributes: Attributes) -> None:
        await self._write(lambda connection: writing.set_attributes(connection, index, document, attributes))

    async def search_vectors(self, index: Index, query: VectorQuery) -> list[Hit]:
        return await self._reading.run(self._read, lambda reader: reading.search_vectors(reader, index, query))

    async def search_keywords(self, index: Index, query: KeywordQuery) -> list[Hit]:
        return await self._reading.run(self._read, lambda reader: reading.search_keywords(reader, index, query))

    async def _write(self, change: Callable[[apsw.Connection], object]) -> None:
        writer = self._writer
        if writer is None:
            raise RuntimeError(f"the provider '{self._name}' is not open")
        await self._writing.run(change, writer)

    def _read(self, search: Callable[[apsw.Connection], R]) -> R:
        with self._reader() as connection, snapshot(connection):
            return search(connection)

    @contextlib.contextmanager
    def _reader(self) -> Iterator[apsw.Connection]:
        try:
            connection = self._readers.get_nowait()
        except queue.Empty:
            connection = connect(self._path)
        try:
            yield connection
        finally:
            self._readers.put(connection)

    def _disconnect(self) -> None:
        while not self._readers.empty():
            self._readers.get().close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
