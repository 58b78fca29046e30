"""SQLite: reads in a few threads, writes through the one writer thread, one serving process."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite as sqlite_dialect

from llama_stack.storage.errors import StoreRefused, StoreUnavailable
from llama_stack.storage.sql.database import Compiled, Database, Params, Prepared, Query, Row, Written
from llama_stack.storage.sql.migrate import HEAD, check_version, migrate_sqlite, stored_version
from llama_stack.storage.sql.sqlite_file import ServingLock, connect, prepare_file
from llama_stack.storage.sql.sqlite_readers import SqliteReaders
from llama_stack.storage.sql.writer import QUEUE_MAX, QUEUE_WAIT_S, SqliteWriter
from llama_stack_api.errors import Conflict


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
        self._readers = SqliteReaders(path)

    async def open(self) -> None:
        await asyncio.to_thread(self._check_file if self._read_only else self._make_file)
        if not self._read_only:
            await self._writer.open()

    async def close(self) -> None:
        await self._writer.close()
        await self._readers.close()
        self._lock.release()

    async def read(self, query: Query, params: Params | None = None) -> Sequence[Row]:
        return await self._readers.read(query, params)

    def _compile(self, statement: sa.Executable) -> Compiled:
        compiled = statement.compile(dialect=self._dialect)  # type: ignore[attr-defined]
        return Compiled(str(compiled), dict(compiled.params))

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
    compiled = prepared.compiled
    cursor = connection.execute(compiled.sql, {**compiled.defaults, **params})
    rows = cursor.fetchall() if cursor.description else []
    return Written(max(cursor.rowcount, len(rows)), rows)
