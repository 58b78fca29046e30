"""SQLite: reads through SQLAlchemy and aiosqlite, writes through the one writer thread, one serving process."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from llama_stack.storage.errors import StoreRefused, StoreUnavailable
from llama_stack.storage.sql.database import Database, Params, Prepared, Row, Written
from llama_stack.storage.sql.migrate import HEAD, check_version, migrate_sqlite, stored_version
from llama_stack.storage.sql.sqlite_file import BUSY_TIMEOUT_S, ServingLock, connect, prepare_file
from llama_stack.storage.sql.writer import QUEUE_MAX, QUEUE_WAIT_S, SqliteWriter
from llama_stack_api.errors import Conflict

READERS_MAX = 4


class SqliteDatabase(Database):
    """`read_only` is for tools beside a running server: no lock, no migration, no writer."""

    shared = False

    def __init__(
        self,
        path: Path,
        *,
        read_only: bool = False,
        queue_max: int = QUEUE_MAX,
        queue_wait_s: float = QUEUE_WAIT_S,
        setting: str = "max_write_queue_size",
        on_depth: Callable[[int], None] | None = None,
    ) -> None:
        self._path = path
        self._read_only = read_only
        self._lock = ServingLock(path)
        self._writer = SqliteWriter(
            path, queue_max=queue_max, queue_wait_s=queue_wait_s, setting=setting, on_depth=on_depth
        )
        self._dialect = sqlite_dialect.dialect(paramstyle="named")
        self._readers = _reading_engine(path)

    async def open(self) -> None:
        await asyncio.to_thread(self._check_file if self._read_only else self._make_file)
        if not self._read_only:
            await self._writer.open()

    async def close(self) -> None:
        await self._writer.close()
        await self._readers.dispose()
        self._lock.release()

    async def read(self, query: sa.Select[Any], params: Params | None = None) -> Sequence[Row]:
        try:
            async with self._readers.connect() as connection:
                return [tuple(row) for row in await connection.execute(query, params)]
        except sa.exc.TimeoutError as error:
            raise StoreUnavailable(f"SQLite cannot read {self._path.name}: all readers are busy") from error
        except sa.exc.DatabaseError as error:
            # Not the error itself: it quotes the statement.
            raise StoreUnavailable(f"SQLite cannot read {self._path.name}: {error.orig}") from error

    def prepare(self, statement: sa.Executable) -> Prepared:
        compiled = statement.compile(dialect=self._dialect)  # type: ignore[attr-defined]
        return Prepared(statement, str(compiled), dict(compiled.params))

    async def write(self, *steps: tuple[Prepared, Params], durable: bool = False) -> list[Written]:
        if self._read_only:
            raise StoreUnavailable(f"{self._path} is open for reading only")
        try:
            return await self._writer.run(
                lambda connection: [_write(connection, *step) for step in steps], durable=durable
            )
        except sqlite3.IntegrityError as error:
            raise Conflict(f"the row conflicts with one that is stored: {error}") from error

    def insert(self, table: sa.Table) -> sqlite_dialect.Insert:
        return sqlite_dialect.insert(table)

    def json_has(self, column: sa.ColumnElement[str], key: str, value: str) -> sa.ColumnElement[bool]:
        members = sa.func.json_each(column).table_valued("key", "value")
        return sa.exists(sa.select(1).select_from(members).where(members.c.key == key, members.c.value == value))

    def _make_file(self) -> None:
        prepare_file(self._path)
        self._lock.acquire()
        try:
            migrate_sqlite(self._path)
        except (sqlite3.DatabaseError, sa.exc.DatabaseError) as error:
            self._lock.release()
            reason = error.orig if isinstance(error, sa.exc.DatabaseError) else error
            raise StoreRefused(f"cannot open the database {self._path}: {reason}") from error
        except BaseException:
            self._lock.release()
            raise

    def _check_file(self) -> None:
        if not self._path.exists():
            raise StoreRefused(f"there is no database {self._path}")
        connection = connect(self._path)
        try:
            version = stored_version(connection)
        finally:
            connection.close()
        check_version(version, str(self._path))
        if version != HEAD:
            raise StoreRefused(f"{self._path} is of an older server; start the server once to bring it up to date")


def _write(connection: sqlite3.Connection, prepared: Prepared, params: Params) -> Written:
    cursor = connection.execute(prepared.sql, {**(prepared.defaults or {}), **params})
    rows = cursor.fetchall() if cursor.description else []
    return Written(max(cursor.rowcount, len(rows)), rows)


def _reading_engine(path: Path) -> AsyncEngine:
    # In autocommit, each query is its own snapshot and holds nothing open.
    engine = create_async_engine(
        sa.URL.create("sqlite+aiosqlite", database=str(path)),
        isolation_level="AUTOCOMMIT",
        pool_size=READERS_MAX,
        max_overflow=0,
        hide_parameters=True,
    )

    @sa.event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
        cursor.execute("PRAGMA query_only = ON")  # whatever writes must go through the writer
        cursor.close()

    return engine
