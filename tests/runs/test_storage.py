"""What the journal asks of the databases beyond statements: durable commits, and hearing other processes."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from llama_stack.config.storage import SqlSqliteBackend
from llama_stack.runs.engine import RunEngine
from llama_stack.runs.limits import RunTimings
from llama_stack.runs.model import NewRun
from llama_stack.storage.sql.open import open_sql
from llama_stack.storage.sql.sqlite_file import connect
from llama_stack.storage.sql.writer import SqliteWriter
from llama_stack_api.principal import Principal
from tests.support.databases import Postgres
from tests.support.toy_runs import Toy

pytestmark = pytest.mark.anyio
ALICE = Principal(id="alice")
NORMAL, FULL = 1, 2


async def test_only_durable_commits_wait_for_the_disk(tmp_path: Path) -> None:
    def level(connection: sqlite3.Connection) -> int:
        return int(connection.execute("PRAGMA synchronous").fetchone()[0])

    writer = SqliteWriter(tmp_path / "w.db")
    await writer.open()
    assert await writer.run(level) == NORMAL
    assert await writer.run(level, durable=True) == FULL
    assert await writer.run(level) == NORMAL
    together = await asyncio.gather(writer.run(level, durable=True), writer.run(level), writer.run(level))
    assert together[0] == FULL

    def fails(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO missing VALUES (1)")

    with pytest.raises(Exception, match="no such table"):
        await writer.run(fails, durable=True)
    assert await writer.run(level) == NORMAL
    await writer.close()


async def test_other_processes_are_heard(postgres: Postgres) -> None:
    """With polls and heartbeats an hour apart, only wake-ups make a run go on; they come back with the connection."""
    slow = RunTimings(lease_s=10_000, poll_s=3600)
    backend = postgres.sql_backend(postgres.create_database())
    serving, working = await open_sql(backend), await open_sql(backend)
    toy = Toy(Path("/dev/null"))
    server, worker = RunEngine(serving, [toy], timings=slow, claims=False), RunEngine(working, [toy], timings=slow)
    async with asyncio.timeout(30):
        await server.open()
        await worker.open()
        for _ in range(2):
            await listening(postgres, backend.db)
            run_id = (await server.start(ALICE, NewRun("toy", b'{"pause": "look"}', background=True))).run.id
            following = asyncio.create_task(last(server, run_id))
            await toy.paused.wait()
            await server.cancel(ALICE, run_id)
            assert b"closed cancelled" in await following
            while run_id not in toy.cancelled:
                await asyncio.sleep(0.01)
            toy.paused.clear()
            postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {LISTENS} '{backend.db}'")
        await worker.close()
        await server.close()
    await serving.close()
    await working.close()


LISTENS = "query LIKE 'LISTEN%' AND datname ="


async def listening(postgres: Postgres, database: str) -> None:
    """Until both listen (again)."""
    count = f"SELECT 'n=' || count(*) FROM pg_stat_activity WHERE {LISTENS} '{database}'"
    while "n=2" not in await asyncio.to_thread(postgres.execute, count):
        await asyncio.sleep(0.05)


async def last(engine: RunEngine, run_id: str) -> bytes:
    events = [event async for page in engine.tail(ALICE, run_id) for event in page]
    assert [event.number for event in events] == list(range(len(events)))
    return events[-1].data


async def test_nobody_else_speaks_to_a_sqlite_file(tmp_path: Path) -> None:
    database = await open_sql(SqlSqliteBackend(db_path=tmp_path / "runs.db"))
    listening = asyncio.create_task(database.listen("ls_runs", print))
    await asyncio.sleep(0)
    assert not listening.done()
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    assert not database.shared
    connect(tmp_path / "runs.db").close()
    await database.close()
