"""PostgreSQL's connections: lent, kept, replaced, and never lent on in a state that nobody knows."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from llama_stack.storage.errors import StoreUnavailable
from llama_stack.storage.sql import postgres_pool
from llama_stack.storage.sql.completions import CompletionStore
from llama_stack.storage.sql.open import open_sql
from llama_stack.storage.sql.postgres import PostgresDatabase
from llama_stack.storage.sql.tables import RUNS
from llama_stack_api.errors import Conflict
from llama_stack_api.principal import Principal
from tests.support.databases import Postgres

pytestmark = pytest.mark.anyio
ME = Principal("me")
PID: sa.Select[tuple[int]] = sa.select(sa.func.pg_backend_pid())
SLEEP: sa.Select[tuple[str]] = sa.select(sa.cast(sa.func.pg_sleep(60), sa.Text))
SLEEPING: sa.Select[tuple[int]] = (
    sa.select(sa.literal_column("1"))
    .select_from(sa.text("pg_stat_activity"))
    .where(sa.text("datname = current_database() AND wait_event = 'PgSleep'"))
)


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[PostgresDatabase]:
    opened = await open_sql(postgres.sql_backend(postgres.create_database()))
    assert isinstance(opened, PostgresDatabase)
    yield opened
    await opened.close()


async def pid(database: PostgresDatabase) -> int:
    ((found,),) = await database.read(PID)
    return int(found)


async def cut(postgres: Postgres, database: PostgresDatabase) -> None:
    """As a restart of the server does."""
    name = database._config.db
    postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")


def insert_run(database: PostgresDatabase, run_id: str) -> tuple[sa.Executable, dict[str, object]]:
    needed = [column for column in RUNS.c if not column.nullable]
    values: dict[str, object] = {
        f"new_{column.name}": {"TEXT": "x", "BOOLEAN": False}.get(str(column.type), 0) for column in needed
    }
    binds = {column.name: sa.bindparam(f"new_{column.name}", type_=column.type) for column in needed}
    return sa.insert(RUNS).values(binds), {**values, "new_id": run_id}


async def test_one_connection_serves_one_after_the_other(database: PostgresDatabase) -> None:
    assert len({await pid(database) for _ in range(5)}) == 1
    assert 1 < len(set(await asyncio.gather(*(pid(database) for _ in range(50))))) <= 24


async def test_connections_beyond_the_kept_ones_go_when_idle(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.gather(*(pid(database) for _ in range(50)))
    idle = database._connections._idle
    assert len(idle) > 4
    monkeypatch.setattr(postgres_pool, "OVERFLOW_IDLE_S", 0.0)
    for _ in range(30):
        await pid(database)
    assert len(idle) == 4


async def test_what_was_cut_is_replaced(postgres: Postgres, database: PostgresDatabase) -> None:
    statement, values = insert_run(database, "r")
    insert = database.prepare(statement)
    first = await pid(database)
    await cut(postgres, database)
    assert await pid(database) != first
    await cut(postgres, database)
    written = await database.write((insert, {**values, "new_id": "a"}), (insert, {**values, "new_id": "b"}))
    assert [each.count for each in written] == [1, 1]


async def test_an_idle_connection_is_tested_before_it_is_written_to(
    postgres: Postgres, database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_pool, "PING_AFTER_S", 0.0)
    statement, values = insert_run(database, "r")
    await pid(database)
    await cut(postgres, database)
    (written,) = await database.write((database.prepare(statement), values))
    assert written.count == 1


async def test_a_transaction_is_all_or_nothing(database: PostgresDatabase) -> None:
    statement, values = insert_run(database, "r")
    insert = database.prepare(statement)
    with pytest.raises(Conflict):
        await database.write((insert, {**values, "new_id": "new"}), (insert, values), (insert, values))
    assert await database.read(sa.select(RUNS.c.id)) == []
    await database.write((insert, values), (insert, {**values, "new_id": "new"}))
    assert len(await database.read(sa.select(RUNS.c.id))) == 2


async def test_who_is_cancelled_leaves_no_connection_behind_in_a_transaction(database: PostgresDatabase) -> None:
    statement, values = insert_run(database, "r")
    insert, sleep = database.prepare(statement), database.prepare(SLEEP)
    writing = asyncio.create_task(database.write((insert, values), (sleep, {})))
    before = await pid(database)
    while not await database.read(SLEEPING):
        await asyncio.sleep(0.01)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert await database.read(sa.select(RUNS.c.id)) == []
    assert await pid(database) == before
    assert not database._connections._places.locked()


async def test_a_statement_that_takes_too_long_is_ended(
    postgres: Postgres, database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llama_stack.storage.sql.postgres.STATEMENT_TIMEOUT_S", 0.1)
    with pytest.raises(StoreUnavailable, match="statement timeout"):
        await database.read(SLEEP)


async def test_other_stores_see_the_same_errors(postgres: Postgres, database: PostgresDatabase) -> None:
    store = CompletionStore(database)
    await store.save(ME, b'{"id":"c-1"}', b"[]", model="m")
    await cut(postgres, database)
    assert (await store.get(ME, "c-1")).id == "c-1"


async def test_a_query_made_for_one_read_is_not_kept(database: PostgresDatabase) -> None:
    query = sa.select(sa.literal(1))
    gone = weakref.ref(query)
    assert list(await database.read(query)) == [(1,)]
    del query
    gc.collect()
    assert gone() is None
