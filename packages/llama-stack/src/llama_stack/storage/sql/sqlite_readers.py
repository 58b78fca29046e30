"""Reads of a SQLite file: a few threads, each with a connection of its own.

SQLAlchemy's asynchronous engine would switch threads at every step of a read, and load the ORM at every start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from llama_stack.storage.errors import StoreUnavailable
from llama_stack.storage.sql.database import Params, Query, Row
from llama_stack.storage.sql.sqlite_file import BUSY_TIMEOUT_S

READERS_MAX = 4
WAIT_MAX_S = 30.0


class SqliteReaders:
    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._engine = _engine(path)
        self._threads = ThreadPoolExecutor(READERS_MAX, thread_name_prefix="sqlite-reader")
        self._places = asyncio.Semaphore(READERS_MAX)

    async def read(self, query: Query, params: Params | None = None) -> Sequence[Row]:
        """`StoreUnavailable` if the file cannot be read, or if no reader is free within `WAIT_MAX_S`."""
        try:
            async with asyncio.timeout(WAIT_MAX_S):
                await self._places.acquire()
        except TimeoutError as error:
            raise StoreUnavailable(f"SQLite cannot read {self._name}: all readers are busy") from error
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, query, params)
        except sa.exc.DatabaseError as error:
            # Not the error itself: it quotes the statement.
            raise StoreUnavailable(f"SQLite cannot read {self._name}: {error.orig}") from error
        finally:
            self._places.release()

    async def close(self) -> None:
        """Waits for the reads that are running."""
        await asyncio.to_thread(self._threads.shutdown)
        self._engine.dispose()

    def _read(self, query: Query, params: Params | None) -> Sequence[Row]:
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(query, params)]


def _engine(path: Path) -> sa.Engine:
    # In autocommit, each query is its own snapshot and holds nothing open, so there is nothing to reset after it.
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        isolation_level="AUTOCOMMIT",
        pool_size=READERS_MAX,
        max_overflow=0,
        pool_reset_on_return=None,
        hide_parameters=True,
    )

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
        cursor.execute("PRAGMA query_only = ON")  # whatever writes must go through the writer
        cursor.close()

    return engine
