"""The writer thread of SQLite: batches, back-pressure, failures and its end."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from llama_stack.storage.errors import StoreRefused, StoreUnavailable
from llama_stack.storage.sql.sqlite_file import connect
from llama_stack.storage.sql.writer import SqliteWriter
from llama_stack_api.errors import Overloaded

pytestmark = pytest.mark.anyio


class Gate:
    """A job that keeps the writer thread busy until it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.released = threading.Event()

    def __call__(self, _connection: sqlite3.Connection) -> None:
        self.entered.set()
        assert self.released.wait(30)

    async def hold(self, writer: SqliteWriter) -> asyncio.Task[None]:
        task = asyncio.create_task(writer.run(self))
        await asyncio.to_thread(self.entered.wait, 30)
        return task


class Insert:
    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO t VALUES (?)", (self.number,))
        return self.number


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "w.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
    connection.close()
    return path


@pytest.fixture
async def writer(path: Path) -> AsyncIterator[SqliteWriter]:
    writer = SqliteWriter(path)
    await writer.open()
    yield writer
    await writer.close()


def stored(path: Path) -> list[int]:
    connection = sqlite3.connect(path)
    rows = [number for (number,) in connection.execute("SELECT n FROM t ORDER BY n")]
    connection.close()
    return rows


async def test_many_at_once(writer: SqliteWriter, path: Path) -> None:
    numbers = list(range(1000))
    assert await asyncio.gather(*(writer.run(Insert(number)) for number in numbers)) == numbers
    assert stored(path) == numbers


async def test_what_waits_is_one_transaction(writer: SqliteWriter, path: Path) -> None:
    gate = Gate()
    held = await gate.hold(writer)
    seen: list[int] = []

    def look(_connection: sqlite3.Connection) -> None:
        seen.append(len(stored(path)))  # by another connection: what is committed

    waiting = [asyncio.create_task(writer.run(job)) for job in (Insert(1), Insert(2), look, Insert(3))]
    await asyncio.sleep(0)
    gate.released.set()
    await asyncio.gather(held, *waiting)
    assert seen == [0]
    assert stored(path) == [1, 2, 3]


async def test_a_failing_item_leaves_its_batch_alone(writer: SqliteWriter, path: Path) -> None:
    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO t VALUES (100)")
        raise KeyError("half done")

    def wrong(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO nowhere VALUES (1)")

    gate = Gate()
    held = await gate.hold(writer)
    jobs: list[Callable[[sqlite3.Connection], object]] = [Insert(1), half, Insert(1), wrong, Insert(2)]
    waiting = asyncio.gather(*(writer.run(job) for job in jobs), return_exceptions=True)
    await asyncio.sleep(0)
    gate.released.set()
    results = await waiting
    await held
    assert [type(result) for result in results] == [int, KeyError, sqlite3.IntegrityError, StoreUnavailable, int]
    assert stored(path) == [1, 2]
    assert await writer.run(Insert(3)) == 3


async def test_a_transaction_that_cannot_commit_fails_all_of_it(writer: SqliteWriter, path: Path) -> None:
    def end_early(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")  # as SQLite itself does when the disk is full

    gate = Gate()
    held = await gate.hold(writer)
    waiting = asyncio.gather(*(writer.run(job) for job in (Insert(1), end_early, Insert(2))), return_exceptions=True)
    await asyncio.sleep(0)
    gate.released.set()
    assert [type(result) for result in await waiting] == [StoreUnavailable] * 3
    await held
    assert stored(path) == []
    assert await writer.run(Insert(4)) == 4


async def test_reads_go_before_the_transaction(writer: SqliteWriter) -> None:
    def in_transaction(connection: sqlite3.Connection) -> bool:
        return connection.in_transaction

    assert await writer.run(in_transaction, reads=True) is False
    assert await writer.run(in_transaction) is True


async def test_back_pressure(path: Path) -> None:
    depths: list[int] = []
    writer = SqliteWriter(path, queue_max=3, queue_wait_s=0.05, setting="the.setting", on_depth=depths.append)
    await writer.open()
    gate = Gate()
    held = await gate.hold(writer)
    queued = [asyncio.create_task(writer.run(Insert(number))) for number in (1, 2)]
    await asyncio.sleep(0)
    assert depths[-1] == 3
    with pytest.raises(Overloaded, match=r"the\.setting"):
        await writer.run(Insert(3))
    waiting = asyncio.create_task(writer.run(Insert(4)))
    await asyncio.sleep(0)
    assert depths[-1] == 3, "it waits for a place and is not in the queue"
    gate.released.set()
    await asyncio.gather(held, *queued, waiting)
    assert depths[-1] == 0
    assert stored(path) == [1, 2, 4]
    await writer.close()


async def test_a_cancelled_caller_frees_its_place(path: Path) -> None:
    writer = SqliteWriter(path, queue_max=2)
    await writer.open()
    gate = Gate()
    held = await gate.hold(writer)
    gone = asyncio.create_task(writer.run(Insert(1)))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    gate.released.set()
    await held
    for number in (2, 3, 4):
        await writer.run(Insert(number))
    assert stored(path) == [1, 2, 3, 4], "what was queued is written"
    await writer.close()


async def test_close_drains(path: Path) -> None:
    writer = SqliteWriter(path)
    await writer.open()
    gate = Gate()
    held = await gate.hold(writer)
    waiting = [asyncio.create_task(writer.run(Insert(number))) for number in range(600)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(writer.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="closed"):
        await writer.run(Insert(1000))
    gate.released.set()
    await asyncio.gather(held, closing)
    assert await asyncio.gather(*waiting) == list(range(600))
    assert stored(path) == list(range(600))
    assert not any(thread.name == f"writer of {path.name}" for thread in threading.enumerate())
    await writer.close()


async def test_the_file_is_opened_as_it_should_be(writer: SqliteWriter) -> None:
    def pragmas(connection: sqlite3.Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert await writer.run(pragmas, reads=True) == ["wal", 1, 1, 5000]


async def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("hello, I am not a database, and long enough to tell " * 100)
    for path in (text, tmp_path, Path(":memory:"), text / "below.db"):
        with pytest.raises(StoreRefused):
            await SqliteWriter(path).open()


def test_two_connections_do_not_lock_each_other_out(path: Path) -> None:
    one, two = connect(path), connect(path)
    one.execute("BEGIN IMMEDIATE")
    one.execute("INSERT INTO t VALUES (1)")
    assert two.execute("SELECT count(*) FROM t").fetchone() == (0,)
    one.execute("COMMIT")
    assert two.execute("SELECT count(*) FROM t").fetchone() == (1,)
    one.close()
    two.close()
