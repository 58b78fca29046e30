"""A database of the schema before files and vector stores, with responses in it, is brought up to date by the server
that opens it, and everything works on."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from llama_stack.storage.sql.migrate import MIGRATIONS
from llama_stack.storage.sql.tables import VERSION_TABLE
from tests.durability.client import client_of
from tests.durability.corpus import CHUNKING, Corpus
from tests.durability.shelf import Kind, Shelf
from tests.durability.shelf_check import check_ingested
from tests.durability.site import in_postgres
from tests.support.databases import Postgres
from tests.support.knowledge import embedding_words
from tests.support.upstream import Upstream

pytestmark = pytest.mark.anyio

BEFORE = "0003"
TIMEOUT_S = 120.0


@pytest.fixture(params=["sqlite", "postgres"])
async def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shelf]:
    storage = None
    if request.param == "postgres":
        postgres: Postgres = request.getfixturevalue("postgres")
        storage = in_postgres(postgres)
    with Upstream() as upstream:
        upstream.always(embedding_words, on="/embeddings")
        shelf = Shelf(tmp_path, upstream, Kind(request.param, "inline::faiss"), storage)
        yield shelf
        await asyncio.to_thread(shelf.close)


async def test_a_database_of_before_is_upgraded_and_works(shelf: Shelf, request: pytest.FixtureRequest) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        await shelf.start()
        async with client_of(shelf.url) as client:
            first = await client.responses.create(model="up/m", input="Hello")
            second = await client.responses.create(model="up/m", input="Again", previous_response_id=first.id)
        await shelf.stop(shelf.servers[-1])
        await to_schema_before(shelf, request)
        assert await versions(shelf) == [(BEFORE,)]

        await shelf.start()
        assert await versions(shelf) > [(BEFORE,)]
        async with client_of(shelf.url) as client:
            for made in (first, second):
                assert (await client.responses.retrieve(made.id)).to_dict() == made.to_dict()
            third = await client.responses.create(model="up/m", input="On", previous_response_id=second.id)
            assert third.status == "completed"
            items = await client.responses.input_items.list(third.id)
            assert len(items.data) > len((await client.responses.input_items.list(first.id)).data)

            corpus = Corpus.of("upgraded", shorts=1)
            files = {
                name: (await client.files.create(file=(name, content), purpose="assistants")).id
                for name, content in corpus.contents.items()
            }
            store = await client.vector_stores.create()
            await client.vector_stores.file_batches.create_and_poll(
                store.id, file_ids=list(files.values()), chunking_strategy=CHUNKING, poll_interval_ms=20
            )
            await check_ingested(shelf, client, store.id, corpus, files)


async def versions(shelf: Shelf) -> list[tuple[Any, ...]]:
    return await shelf.rows(f"SELECT version_num FROM {VERSION_TABLE}")


async def to_schema_before(shelf: Shelf, request: pytest.FixtureRequest) -> None:
    """What its database holds of tables that were there, in a database that was made by the revisions up to then."""
    if shelf.kind.sql == "sqlite":
        path = shelf.state / "sql_store.db"
        old = path.rename(path.with_name("newer.db"))
        for more in ("-wal", "-shm"):
            journal = path.with_name(path.name + more)
            if journal.exists():
                journal.rename(old.with_name(old.name + more))
        with closing(sqlite3.connect(path)) as fresh:
            fresh.execute("PRAGMA journal_mode = WAL")
        await copy(
            create_async_engine(f"sqlite+aiosqlite:///{old}"), create_async_engine(f"sqlite+aiosqlite:///{path}")
        )
        return
    where = shelf.postgres
    assert where is not None
    postgres: Postgres = request.getfixturevalue("postgres")
    postgres.execute(f"ALTER DATABASE {where['db']} RENAME TO newer_{where['db']}")
    postgres.execute(f"CREATE DATABASE {where['db']}")
    await copy(_engine(where["host"], f"newer_{where['db']}"), _engine(where["host"], where["db"]))


async def copy(newer: AsyncEngine, older: AsyncEngine) -> None:
    async with older.begin() as connection:
        await connection.run_sync(_upgrade_to_before)
    metadata = sa.MetaData()
    async with newer.connect() as source, older.begin() as target:
        await target.run_sync(metadata.reflect)
        for table in metadata.sorted_tables:
            rows = [dict(row) for row in (await source.execute(sa.select(table))).mappings()]
            if rows and table.name != VERSION_TABLE:
                await target.execute(sa.insert(table), rows)
    await newer.dispose()
    await older.dispose()


def _upgrade_to_before(connection: sa.Connection) -> None:
    script = ScriptDirectory(str(MIGRATIONS))
    context = MigrationContext.configure(
        connection,
        opts={"version_table": VERSION_TABLE, "fn": lambda present, _: script._upgrade_revs(BEFORE, present)},
    )
    with Operations.context(context):
        context.run_migrations()


def _engine(host: str, database: str) -> AsyncEngine:
    return create_async_engine("postgresql+asyncpg://postgres@/", connect_args={"host": host, "database": database})
