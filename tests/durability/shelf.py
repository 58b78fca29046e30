"""Servers with files and vector stores that are killed: what they are made of, and a look at all that they keep."""

from __future__ import annotations

import asyncio
import sqlite3
import struct
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from llama_stack.config.storage import SqlSqliteBackend
from llama_stack.storage.sql.knowledge.changes import StoreChanges
from llama_stack.storage.sql.open import open_sql
from llama_stack_api.ports.vector_io import FollowsRows, Index, VectorQuery
from tests.durability.site import LEASE_S, Site, in_postgres
from tests.providers.vector_io.suite import opened_provider
from tests.support.knowledge import DIMENSION, MODELS
from tests.support.upstream import Upstream

ALL = 4000
"""More chunks than any store here has."""
TIMES = {
    "ls_blobs": ("touched_at",),
    "ls_uploads": ("expires_at",),
    "ls_vector_store_files": ("attached_at",),
    "ls_vector_store_changes": ("at",),
}


@dataclass(frozen=True, slots=True)
class Kind:
    """Where rows and vectors are: `sql` is sqlite or postgres, `index` the type of a vector_io provider."""

    sql: str
    index: str

    def __str__(self) -> str:
        return f"{self.sql}, {self.index}"


KINDS = (
    Kind("sqlite", "inline::faiss"),
    Kind("sqlite", "inline::sqlite-vec"),
    Kind("postgres", "remote::pgvector"),
    Kind("postgres", "inline::faiss"),
)


class Shelf(Site):
    """`storage` is None for SQLite."""

    def __init__(self, directory: Path, upstream: Upstream, kind: Kind, storage: dict[str, Any] | None) -> None:
        self.kind = kind
        self.postgres = None if storage is None else storage["backends"]["sql_default"]
        super().__init__(directory, upstream, storage, self._sections(directory, upstream))

    @property
    def state(self) -> Path:
        return self.directory / ".llama/distributions/durable"

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Of the server's database, whether it lives or not."""
        if self.postgres is None:
            return await asyncio.to_thread(self._sqlite, sql, "ro")
        connection = await self._connect()
        try:
            return [tuple(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()

    async def age(self, seconds: float) -> None:
        """So much time passes for what was going on. No server may live."""
        for table, columns in TIMES.items():
            moved = ", ".join(f"{column} = {column} - {seconds}" for column in columns)
            if self.postgres is None:
                await asyncio.to_thread(self._sqlite, f"UPDATE {table} SET {moved}", "rw")
            else:
                await self.rows(f"UPDATE {table} SET {moved}")

    async def indexed(self, store_id: str) -> list[str]:
        """The ids of the chunks that the provider has of a store, sorted."""
        ((index_id,),) = await self.rows(f"SELECT index_id FROM ls_vector_stores WHERE id = '{store_id}'")
        if self.kind.index == "remote::pgvector":
            return sorted(row[0] for row in await self.rows(f'SELECT id::text FROM "ls_vectors_{index_id}"'))
        query = VectorQuery(
            struct.pack(f"<{DIMENSION}f", *[1.0] * DIMENSION), ALL, version=await self._version(store_id)
        )
        with tempfile.TemporaryDirectory(dir=self.directory) as copy:
            async with self._provider(Path(copy)) as provider:
                return sorted(hit.id for hit in await provider.search_vectors(Index(index_id, DIMENSION), query))

    async def _version(self, store_id: str) -> int:
        ((version,),) = await self.rows(f"SELECT version FROM ls_vector_stores WHERE id = '{store_id}'")
        return int(version)

    @asynccontextmanager
    async def _provider(self, copy: Path) -> AsyncIterator[Any]:
        """A second one beside the server's: over what that one has on disk (a cache, or the index itself)."""
        if self.kind.index == "inline::sqlite-vec":
            await asyncio.to_thread(_copy, self.state / "providers/vector_io/index/sqlite_vec.db", copy / "vec.db")
            async with opened_provider(self.kind.index, copy, db_path=str(copy / "vec.db")) as provider:
                yield provider
            return
        async with (
            self._database(copy) as database,
            opened_provider(
                self.kind.index, self.state / "providers/vector_io/index", saved_chunks_min=10**9
            ) as provider,
        ):
            assert isinstance(provider, FollowsRows)
            provider.follow(StoreChanges(database))
            yield provider

    @asynccontextmanager
    async def _database(self, copy: Path) -> AsyncIterator[Any]:
        if self.postgres is None:
            await asyncio.to_thread(_copy, self.state / "sql_store.db", copy / "sql.db")
            database: Any = await open_sql(SqlSqliteBackend(db_path=copy / "sql.db"))
        else:
            from llama_stack.config.storage import SqlPostgresBackend

            where = {name: value for name, value in self.postgres.items() if name != "type"}
            database = await open_sql(SqlPostgresBackend(**where, pool_size=2))
        try:
            yield database
        finally:
            await database.close()

    def _sqlite(self, sql: str, mode: str) -> list[tuple[Any, ...]]:
        path = self.state / "sql_store.db"
        with closing(sqlite3.connect(f"file:{path}?mode={mode}", uri=True, timeout=10)) as connection, connection:
            return connection.execute(sql).fetchall()

    async def _connect(self) -> Any:
        where = self.postgres
        assert where is not None
        return await asyncpg.connect(host=where["host"], database=where["db"], user=where["user"])

    def _sections(self, directory: Path, upstream: Upstream) -> dict[str, Any]:
        where = self.postgres
        configs: dict[str, Any] = {
            "inline::faiss": {"saved_chunks_min": 1},
            "inline::sqlite-vec": {},
            "remote::pgvector": where and {"host": where["host"], "db": where["db"], "user": where["user"]},
        }
        index = {"provider_id": "index", "provider_type": self.kind.index, "config": configs[self.kind.index]}
        inference = {"provider_id": "up", "provider_type": "remote::vllm", "config": {"base_url": upstream.base_url}}
        contents = {"storage_dir": str(directory / "contents")}
        return {
            "apis": ["inference", "responses", "files", "file_processors", "vector_io"],
            "providers": {
                "inference": [inference],
                "files": [{"provider_id": "disk", "provider_type": "inline::localfs", "config": contents}],
                "file_processors": [{"provider_id": "auto", "provider_type": "inline::auto", "config": {}}],
                "vector_io": [index],
            },
            "registered_resources": {"models": MODELS},
            "vector_stores": {"default_embedding_model": {"provider_id": "up", "model_id": "embedder"}},
            "server": {
                "runs": {"lease_s": LEASE_S, "poll_s": 0.1},
                "files": {"sweep_interval_s": 0.2},
            },
        }


def _copy(source: Path, target: Path) -> None:
    """Of a SQLite file that is in use."""
    with closing(sqlite3.connect(source)) as there, closing(sqlite3.connect(target)) as here:
        there.backup(here)


def opened_shelf(request: pytest.FixtureRequest, directory: Path, embedder: Upstream) -> Iterator[Shelf]:
    """For a fixture whose parameter is a `Kind`."""
    kind: Kind = request.param
    storage = in_postgres(request.getfixturevalue("postgres")) if kind.sql == "postgres" else None
    shelf = Shelf(directory, embedder, kind, storage)
    yield shelf
    shelf.close()
