"""Opening databases that are new, present, older, newer, in use, or somebody else's."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from llama_stack.config.storage import KVSqliteBackend, SqlSqliteBackend
from llama_stack.storage.errors import StoreInUse, StoreRefused, StoreUnavailable
from llama_stack.storage.kv import open_kv
from llama_stack.storage.sql.completions import CompletionStore
from llama_stack.storage.sql.migrate import HEAD, MIGRATIONS, run_revisions
from llama_stack.storage.sql.open import SqlBackendConfig, open_sql
from llama_stack.storage.sql.tables import METADATA, TABLE_PREFIX, VERSION_TABLE
from llama_stack_api.errors import NotFound
from llama_stack_api.principal import Principal
from tests.support.databases import Postgres

pytestmark = pytest.mark.anyio
ME = Principal(id="me")
KEYWORD_INDEX_NAME = "ls_chunk_words_index"
"""Held in place by a test of its own: alembic knows no virtual tables, nor this index's expression."""


@dataclass
class Fresh:
    config: SqlBackendConfig
    execute: Callable[[str], Awaitable[object]]
    """Runs SQL beside the server."""


@pytest.fixture(params=["sqlite", "postgres"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Fresh:
    if request.param == "sqlite":
        path = tmp_path / "sql.db"

        async def execute(sql: str) -> object:
            connection = sqlite3.connect(path)
            rows = connection.execute(sql).fetchall()
            connection.commit()
            connection.close()
            return rows

        return Fresh(SqlSqliteBackend(db_path=path), execute)
    postgres: Postgres = request.getfixturevalue("postgres")
    config = postgres.sql_backend(postgres.create_database())

    async def execute_postgres(sql: str) -> object:
        engine = create_async_engine(
            "postgresql+asyncpg://postgres@/", connect_args={"host": config.host, "database": config.db}
        )
        async with engine.begin() as connection:
            result = await connection.execute(sa.text(sql))
            rows = [tuple(row) for row in result] if result.returns_rows else []
        await engine.dispose()
        return rows

    return Fresh(config, execute_postgres)


async def open_and_close(config: SqlBackendConfig) -> None:
    await (await open_sql(config)).close()


def engine_of(fresh: Fresh) -> AsyncEngine:
    if isinstance(fresh.config, SqlSqliteBackend):
        return create_async_engine(f"sqlite+aiosqlite:///{fresh.config.db_path}")
    return create_async_engine(
        "postgresql+asyncpg://postgres@/", connect_args={"host": fresh.config.host, "database": fresh.config.db}
    )


async def run_all_revisions(fresh: Fresh) -> None:
    engine = engine_of(fresh)
    async with engine.begin() as connection:
        await connection.run_sync(run_revisions)
    await engine.dispose()


def test_head_is_the_newest_revision() -> None:
    script = ScriptDirectory(str(MIGRATIONS))
    assert script.get_heads() == [HEAD]
    revisions = [revision.revision for revision in script.walk_revisions()]
    assert revisions == sorted(revisions, reverse=True), "revisions are numbered: a higher one is newer"
    assert all(name.startswith(TABLE_PREFIX) for name in METADATA.tables)


async def test_indexes_of_few_rows_are_partial(fresh: Fresh) -> None:
    """Which alembic does not compare."""
    await open_and_close(fresh.config)
    sqlite = isinstance(fresh.config, SqlSqliteBackend)
    statements = "SELECT sql FROM sqlite_master" if sqlite else "SELECT indexdef FROM pg_indexes"
    rows = await fresh.execute(statements)
    assert isinstance(rows, list)
    assert sum("ls_runs" in (sql or "") and " WHERE " in sql for (sql,) in rows) == 4


async def test_both_ways_lead_to_the_same_keyword_index(fresh: Fresh) -> None:
    sqlite = isinstance(fresh.config, SqlSqliteBackend)
    made = (
        f"SELECT sql FROM sqlite_master WHERE name = '{KEYWORD_INDEX_NAME}'"
        if sqlite
        else f"SELECT indexdef FROM pg_indexes WHERE indexname = '{KEYWORD_INDEX_NAME}'"
    )
    await open_and_close(fresh.config)
    by_opening = await fresh.execute(made)
    assert isinstance(by_opening, list)
    assert len(by_opening) == 1
    await fresh.execute(f"DROP {'TABLE' if sqlite else 'INDEX'} {KEYWORD_INDEX_NAME}")
    for table in [table.name for table in reversed(METADATA.sorted_tables)]:
        await fresh.execute(f"DROP TABLE IF EXISTS {table}")
    await fresh.execute(f"DELETE FROM {VERSION_TABLE}")
    await run_all_revisions(fresh)
    assert await fresh.execute(made) == by_opening


@pytest.mark.parametrize("made_by", ["revisions", "opening"])
async def test_both_ways_lead_to_the_tables_that_the_code_knows(fresh: Fresh, made_by: str) -> None:
    """What alembic would still change is nothing, whether revisions made the tables or an empty database got them."""
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    if made_by == "opening":
        await open_and_close(fresh.config)

    def differences(connection: sa.Connection) -> list[object]:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": VERSION_TABLE,
                "compare_type": True,
                "include_name": lambda name, kind, _parents: (
                    not (name or "").startswith(KEYWORD_INDEX_NAME)
                    and (kind != "table" or name.startswith(TABLE_PREFIX))
                ),
            },
        )
        return list(compare_metadata(context, METADATA))

    await run_all_revisions(fresh)
    engine = engine_of(fresh)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()
    assert await fresh.execute(f"SELECT version_num FROM {VERSION_TABLE}") == [(HEAD,)]


async def test_opening_again_keeps_what_is_there(fresh: Fresh) -> None:
    database = await open_sql(fresh.config)
    await CompletionStore(database).save(ME, b'{"id":"c-1"}', b"[]", model="m")
    await database.close()
    database = await open_sql(fresh.config)
    assert (await CompletionStore(database).get(ME, "c-1")).completion == b'{"id":"c-1"}'
    await database.close()
    assert await fresh.execute(f"SELECT version_num FROM {VERSION_TABLE}") == [(HEAD,)]


async def test_tables_of_others_are_left_alone(fresh: Fresh) -> None:
    await fresh.execute("CREATE TABLE alembic_version (version_num varchar(32))")
    await fresh.execute("INSERT INTO alembic_version VALUES ('theirs')")
    await fresh.execute("CREATE TABLE inference_store (id text)")
    await fresh.execute("INSERT INTO inference_store VALUES ('kept')")
    await open_and_close(fresh.config)
    assert await fresh.execute("SELECT * FROM alembic_version") == [("theirs",)]
    assert await fresh.execute("SELECT * FROM inference_store") == [("kept",)]


async def test_a_table_of_our_name_that_is_not_ours_is_refused(fresh: Fresh) -> None:
    await fresh.execute("CREATE TABLE ls_chat_completions (something text)")
    await fresh.execute("INSERT INTO ls_chat_completions VALUES ('kept')")
    with pytest.raises(StoreRefused, match="ls_chat_completions"):
        await open_sql(fresh.config)
    assert await fresh.execute("SELECT * FROM ls_chat_completions") == [("kept",)]


async def test_a_newer_database_is_refused_unchanged(fresh: Fresh) -> None:
    await open_and_close(fresh.config)
    await fresh.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    for read_only in (False, True):
        with pytest.raises(StoreRefused, match=r"9999.*newer server"):
            await open_sql(fresh.config, read_only=read_only)
    assert await fresh.execute(f"SELECT version_num FROM {VERSION_TABLE}") == [("9999",)]


async def test_servers_that_start_together_migrate_once(postgres: Postgres) -> None:
    config = postgres.sql_backend(postgres.create_database())
    kv_config = postgres.kv_backend(postgres.create_database())
    databases = await asyncio.gather(*(open_sql(config) for _ in range(5)))
    backends = await asyncio.gather(*(open_kv(kv_config) for _ in range(5)))
    await CompletionStore(databases[0]).save(ME, b'{"id":"c-1"}', b"[]", model="m")
    assert (await CompletionStore(databases[4]).get(ME, "c-1")).id == "c-1"
    for database in databases:
        await database.close()
    for backend in backends:
        await backend.close()


async def test_a_reader_beside_the_server(fresh: Fresh) -> None:
    if isinstance(fresh.config, SqlSqliteBackend):
        with pytest.raises(StoreRefused, match="no database"):
            await open_sql(fresh.config, read_only=True)
        assert not fresh.config.db_path.exists()
        sqlite3.connect(fresh.config.db_path).close()
        fresh.config.db_path.touch()
    with pytest.raises(StoreRefused, match="start the server once"):
        await open_sql(fresh.config, read_only=True)
    serving = await open_sql(fresh.config)
    reading = await open_sql(fresh.config, read_only=True)
    await CompletionStore(serving).save(ME, b'{"id":"c-1"}', b"[]", model="m")
    store = CompletionStore(reading)
    assert (await store.get(ME, "c-1")).id == "c-1"
    with pytest.raises(StoreUnavailable, match="reading only"):
        await store.delete(ME, "c-1")
    await reading.close()
    await serving.close()


SERVE = """
import asyncio, sys
from pathlib import Path
from llama_stack.config.storage import SqlSqliteBackend
from llama_stack.storage.sql.open import open_sql

async def main():
    database = await open_sql(SqlSqliteBackend(db_path=Path(sys.argv[1])))
    print("open", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await database.close()

asyncio.run(main())
"""


async def test_one_process_serves_a_sqlite_file(tmp_path: Path) -> None:
    config = SqlSqliteBackend(db_path=tmp_path / "sql.db")
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(config.db_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert await asyncio.to_thread(other.stdout.readline) == "open\n"
        with pytest.raises(StoreInUse, match=rf"pid {other.pid}.*PostgreSQL") as raised:
            await open_sql(config)
        assert str(config.db_path) in raised.value.message
        reading = await open_sql(config, read_only=True)
        with pytest.raises(NotFound):
            await CompletionStore(reading).get(ME, "c-1")
        await reading.close()
        other.kill()
    await open_and_close(config)
    await open_and_close(config)


async def test_the_same_process_opens_it_once(tmp_path: Path) -> None:
    config = SqlSqliteBackend(db_path=tmp_path / "sql.db")
    database = await open_sql(config)
    with pytest.raises(StoreInUse):
        await open_sql(config)
    await database.close()
    await open_and_close(config)


async def test_kv_and_sql_may_share_a_sqlite_file(tmp_path: Path) -> None:
    database = await open_sql(SqlSqliteBackend(db_path=tmp_path / "both.db"))
    kv = await open_kv(KVSqliteBackend(db_path=tmp_path / "both.db"))
    store, port = CompletionStore(database), kv.bind("t", "n")
    await asyncio.gather(
        *(store.save(ME, b'{"id":"c-%d"}' % number, b"[]", model="m") for number in range(50)),
        *(port.add("n", 1) for _ in range(50)),
    )
    assert await port.get("n") == b"50"
    assert len((await store.list(ME, limit=100)).items) == 50
    await kv.close()
    await database.close()


async def test_kv_tables_that_are_not_ours_are_refused(tmp_path: Path, postgres: Postgres) -> None:
    path = tmp_path / "kv.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE ls_kv (key text)")
    connection.commit()
    with pytest.raises(StoreRefused, match="not made by this server"):
        await open_kv(KVSqliteBackend(db_path=path))
    connection.executescript("DROP TABLE ls_kv; CREATE TABLE kvstore (key text, value text, expiration timestamp)")
    backend = await open_kv(KVSqliteBackend(db_path=path))
    await backend.close()
    connection.execute("UPDATE ls_kv_version SET version = 99")
    connection.commit()
    connection.close()
    with pytest.raises(StoreRefused, match="newer server"):
        await open_kv(KVSqliteBackend(db_path=path))

    fresh = postgres.create_database()
    config = postgres.kv_backend(fresh, "llamastack_kvstore")
    engine = create_async_engine(
        "postgresql+asyncpg://postgres@/", connect_args={"host": config.host, "database": fresh}
    )
    async with engine.begin() as session:
        await session.execute(sa.text("CREATE TABLE llamastack_kvstore (key text, value text)"))
        await session.execute(sa.text("CREATE TABLE ls_other (key text)"))
    backend = await open_kv(config)
    await backend.bind("t", "n").set("k", b"v")
    await backend.close()
    with pytest.raises(StoreRefused, match="not made by this server"):
        await open_kv(postgres.kv_backend(fresh, "other"))
    async with engine.begin() as session:
        assert (await session.execute(sa.text("SELECT count(*) FROM llamastack_kvstore"))).scalar() == 0
        await session.execute(sa.text("UPDATE ls_kv_version SET version = 99"))
    await engine.dispose()
    with pytest.raises(StoreRefused, match="newer server"):
        await open_kv(config)
