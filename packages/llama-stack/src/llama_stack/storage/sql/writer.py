"""The one writer of a SQLite file: a thread on stdlib sqlite3 that commits whatever is waiting as one transaction.

A commit costs more than an insert, and SQLite has one writer at a time anyway: so items queue here, briefly and
bounded, instead of meeting in "database is locked". Each item runs under a savepoint of its own, so one that fails
leaves the others of its batch alone.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from llama_stack.storage.errors import StoreUnavailable
from llama_stack.storage.sql.sqlite_file import connect, prepare_file
from llama_stack_api.errors import LlamaStackError, Overloaded

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]

QUEUE_MAX = 10_000
QUEUE_WAIT_S = 10.0
BATCH_MAX = 256


@dataclass(slots=True)
class _Item:
    job: Job[Any]
    reads: bool
    durable: bool
    reply: asyncio.Future[Any]
    value: Any = None
    error: Exception | None = None

    def run(self, connection: sqlite3.Connection) -> None:
        try:
            self.value = self.job(connection)
        except Exception as error:  # noqa: BLE001 — the item's boundary; its owner gets the error
            self.error = error


class SqliteWriter:
    """`await run(job)` runs `job(connection)` on the writer thread and returns once it is committed.

    `queue_max` items may wait or run; beyond that `run` waits for a place at most `queue_wait_s`, then raises
    `Overloaded` naming `setting`. `on_depth` is told the number of items after each change. A caller that is cancelled
    takes nothing back: what was queued is written.
    """

    def __init__(
        self,
        path: Path,
        *,
        queue_max: int = QUEUE_MAX,
        queue_wait_s: float = QUEUE_WAIT_S,
        batch_max: int = BATCH_MAX,
        setting: str = "max_write_queue_size",
        on_depth: Callable[[int], None] | None = None,
    ) -> None:
        self._path = path
        self._queue_max = queue_max
        self._queue_wait_s = queue_wait_s
        self._batch_max = batch_max
        self._setting = setting
        self._on_depth = on_depth
        self._depth = 0
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        self._places = asyncio.Semaphore(queue_max)
        self._thread: threading.Thread | None = None

    async def open(self) -> None:
        connection = await asyncio.to_thread(self._connect)
        loop = asyncio.get_running_loop()
        # A daemon, so that a process that dies without `close` is not held up; `close` drains.
        self._thread = threading.Thread(
            target=self._work, args=(connection, loop), name=f"writer of {self._path.name}", daemon=True
        )
        self._thread.start()

    async def close(self) -> None:
        """Write what is queued, refuse what comes later."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(thread.join)

    async def run(self, job: Job[T], *, reads: bool = False, durable: bool = False) -> T:
        """`reads`: the job changes nothing, so it needs no transaction. `durable`: what is committed survives a power
        cut too, and so does all that was committed before. Errors of the job are raised here; `StoreUnavailable` if
        the file cannot be written."""
        if self._places.locked():
            await self._wait_for_place()
        else:
            await self._places.acquire()
        if self._thread is None:
            self._places.release()
            raise StoreUnavailable(f"the store {self._path} is closed")
        item = _Item(job, reads, durable, asyncio.get_running_loop().create_future())
        self._count(1)
        self._queue.put(item)
        result: T = await item.reply
        return result

    async def _wait_for_place(self) -> None:
        try:
            async with asyncio.timeout(self._queue_wait_s):
                await self._places.acquire()
        except TimeoutError:
            raise Overloaded(
                f"{self._queue_max} writes are waiting for {self._path.name}; a larger {self._setting} lets more wait",
                retry_after_s=1.0,
            ) from None

    def _count(self, change: int) -> None:
        self._depth += change
        if self._on_depth is not None:
            self._on_depth(self._depth)

    def _connect(self) -> sqlite3.Connection:
        prepare_file(self._path)
        return connect(self._path)

    def _work(self, connection: sqlite3.Connection, loop: asyncio.AbstractEventLoop) -> None:
        open_ = True
        while open_:
            batch, open_ = self._next_batch()
            if batch:
                _run_batch(connection, batch)
                with suppress(RuntimeError):  # the loop is gone, and with it whoever waited
                    loop.call_soon_threadsafe(self._deliver, batch)
        connection.close()

    def _next_batch(self) -> tuple[list[_Item], bool]:
        """What is waiting, after the first has come; False once the last item was taken."""
        batch: list[_Item] = []
        with suppress(Empty):
            while len(batch) < self._batch_max:
                item = self._queue.get(block=not batch)
                if item is None:
                    return batch, False
                batch.append(item)
        return batch, True

    def _deliver(self, batch: list[_Item]) -> None:
        for item in batch:
            self._places.release()
            if item.reply.done():  # cancelled
                continue
            if item.error is not None:
                item.reply.set_exception(_translated(item.error))
            else:
                item.reply.set_result(item.value)
        self._count(-len(batch))


def _run_batch(connection: sqlite3.Connection, batch: list[_Item]) -> None:
    writes = []
    for item in batch:
        if item.reads:
            item.run(connection)
        else:
            writes.append(item)
    if not writes:
        return
    durable = any(item.durable for item in writes)
    try:
        if durable:  # SQLite ignores this within a transaction
            connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        for item in writes:
            _run_write(connection, item)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        # Nothing of this batch is in the file, whatever its items found.
        with suppress(sqlite3.Error):  # SQLite may have rolled back already
            connection.execute("ROLLBACK")
        for item in writes:
            item.error = error
    if durable:
        connection.execute("PRAGMA synchronous = NORMAL")


def _run_write(connection: sqlite3.Connection, item: _Item) -> None:
    connection.execute("SAVEPOINT item")
    item.run(connection)
    if item.error is not None:
        # A full disk or an I/O error ends the whole transaction; then this fails, and with it the batch.
        connection.execute("ROLLBACK TO item")
    connection.execute("RELEASE item")


def _translated(error: Exception) -> Exception:
    if isinstance(error, LlamaStackError | sqlite3.IntegrityError) or not isinstance(error, sqlite3.Error):
        return error
    unavailable = StoreUnavailable(f"SQLite could not carry out the operation: {error}")
    unavailable.__cause__ = error
    return unavailable
