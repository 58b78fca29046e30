"""A full disk, a damaged file, a killed process: a clear error, and what was acknowledged is there."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from llama_stack.config.storage import KVSqliteBackend, SqlSqliteBackend
from llama_stack.storage.errors import StoreRefused, StoreUnavailable
from llama_stack.storage.kv.open import open_kv
from llama_stack.storage.sql.completions import CompletionStore
from llama_stack.storage.sql.open import open_sql
from llama_stack.storage.sql.sqlite import SqliteDatabase
from llama_stack_api.principal import Principal

pytestmark = pytest.mark.anyio
ME = Principal(id="me")

WRITER = """
import asyncio, sys
from pathlib import Path
from llama_stack.config.storage import SqlSqliteBackend
from llama_stack.storage.sql.completions import CompletionStore
from llama_stack.storage.sql.open import open_sql
from llama_stack_api.principal import Principal

async def main():
    database = await open_sql(SqlSqliteBackend(type="sql_sqlite", db_path=Path(sys.argv[1])))
    store = CompletionStore(database)

    async def write(first):
        for number in range(first, 1_000_000, 8):
            completion = {"id": f"c-{sys.argv[2]}-{number}", "created": 1, "text": "x" * 2000}
            print(await store.save(Principal(id="me"), completion, [], model="m"), flush=True)

    await asyncio.gather(*(write(first) for first in range(8)))

asyncio.run(main())
"""


def backend(path: Path) -> SqlSqliteBackend:
    return SqlSqliteBackend(type="sql_sqlite", db_path=path)


def completion(name: str, filling: str = "") -> dict[str, object]:
    return {"id": name, "created": 1, "text": filling}


async def test_a_killed_process_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "sql.db"
    rng = random.Random(7)
    acknowledged: list[str] = []
    for life in range(3):
        writer = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, str(path), str(life), stdout=asyncio.subprocess.PIPE
        )
        assert writer.stdout is not None
        wanted = len(acknowledged) + rng.randrange(50, 300)
        while len(acknowledged) < wanted:
            line = await writer.stdout.readline()
            assert line, "the writer ended by itself"
            acknowledged.append(line.decode().strip())
        writer.send_signal(signal.SIGKILL)
        acknowledged += [line.decode() for line in (await writer.stdout.read()).split(b"\n")[:-1]]
        await writer.wait()

        database = await open_sql(backend(path))
        store = CompletionStore(database)
        missing = [name for name in acknowledged if not await _has(store, name)]
        await database.close()
        assert missing == []
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


async def _has(store: CompletionStore, name: str) -> bool:
    return (await store.get(ME, name)).id == name


async def test_a_full_disk_is_said_to_be_full_and_the_store_goes_on(tmp_path: Path) -> None:
    database = await open_sql(backend(tmp_path / "sql.db"))
    assert isinstance(database, SqliteDatabase)
    store = CompletionStore(database)
    await store.save(ME, completion("before"), [], model="m")

    def shrink(connection: sqlite3.Connection) -> None:
        """SQLite then fails as it does where the disk has no space left."""
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 10}")

    await database._writer.run(shrink, reads=True)
    saves = [store.save(ME, completion(f"c{n}", "x" * 20_000), [], model="m") for n in range(10)]
    results = await asyncio.gather(*saves, return_exceptions=True)
    failed = [result for result in results if not isinstance(result, str)]
    assert failed
    for error in failed:
        assert isinstance(error, StoreUnavailable)
        assert "full" in error.message
    await database._writer.run(lambda c: c.execute("PRAGMA max_page_count = 1000000").fetchall(), reads=True)
    assert await store.save(ME, completion("after", "x" * 20_000), [], model="m") == "after"
    assert await _has(store, "before")
    for name in results:
        if isinstance(name, str):
            assert await _has(store, name)
    await database.close()


async def test_a_damaged_file_is_an_error_and_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "sql.db"
    database = await open_sql(backend(path))
    store = CompletionStore(database)
    for number in range(50):
        await store.save(ME, completion(f"c{number}", "x" * 5000), [], model="m")
    await database.close()
    body = bytearray(path.read_bytes())
    for page in range(4096, len(body), 4096):
        body[page : page + 512] = b"\xff" * 512
    path.write_bytes(body)
    with pytest.raises(StoreRefused) as refused:
        await open_sql(backend(path))
    assert path.name in refused.value.message
    assert "malformed" in refused.value.message
    assert "SELECT" not in refused.value.message


async def test_a_file_damaged_while_it_is_served_is_an_error_of_the_store(tmp_path: Path) -> None:
    path = tmp_path / "sql.db"
    database = await open_sql(backend(path))
    store = CompletionStore(database)
    for number in range(50):
        await store.save(ME, completion(f"c{number}", "x" * 5000), [], model="m")
    await database.close()
    database = await open_sql(backend(path))
    store = CompletionStore(database)
    with path.open("r+b") as file:
        for page in range(4096 * 3, path.stat().st_size, 4096):
            file.seek(page)
            file.write(b"\xff" * 512)
    for operation in (store.list(ME, limit=100), store.save(ME, completion("new"), [], model="m")):
        with pytest.raises(StoreUnavailable):
            await operation
    await database.close()


@pytest.mark.parametrize("obstacle", ["lock", "parent", "self"])
async def test_a_place_that_cannot_be_used_is_refused_by_name(tmp_path: Path, obstacle: str) -> None:
    path = tmp_path / "data" / "sql.db"
    if obstacle == "parent":
        path.parent.write_text("a file")
    else:
        (path if obstacle == "self" else Path(f"{path}.lock")).mkdir(parents=True)
    with pytest.raises(StoreRefused, match=r"sql\.db"):
        await open_sql(backend(path))
    if obstacle != "lock":
        with pytest.raises(StoreRefused, match=r"sql\.db"):
            await open_kv(KVSqliteBackend(type="kv_sqlite", db_path=path))


async def test_what_callers_write_is_never_sql(tmp_path: Path) -> None:
    database = await open_sql(backend(tmp_path / "sql.db"))
    store = CompletionStore(database)
    hostile = ["' OR '1'='1", '"; DROP TABLE ls_chat_completions; --', "%", "_", "a' UNION SELECT 1 --", "$.a", "\\"]
    for name in hostile:
        await store.save(Principal(id=name, tenant=name), completion(name), [], model=name, metadata={name: name})
    for name in hostile:
        me = Principal(id=name, tenant=name)
        page = await store.list(me, model=name, metadata={name: name})
        assert [item.id for item in page.items] == [name]
        assert (await store.list(ME, model=name, metadata={name: name})).items == []
    names = {row[0] for row in await database.read(sa.select(sa.text("name")).select_from(sa.text("sqlite_master")))}
    assert "ls_chat_completions" in names
    await database.close()
