"""Keys and values in one table of a PostgreSQL database, shared by all processes and nodes that use it."""

# ruff: noqa: S608 — only constants and a checked table name are written into SQL; values are bound.

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import sqlalchemy as sa

from llama_stack.config.storage import KVPostgresBackend
from llama_stack.storage.errors import NotACounter, StoreRefused
from llama_stack.storage.kv.base import KVBackend, prefix_end
from llama_stack.storage.sql.postgres import postgres_engine, postgres_errors, sqlstate
from llama_stack.storage.sweeper import Sweeper

SCHEMA_VERSION = 1
SCAN_PAGE_KEYS = 500
TABLE_PREFIX = "ls_"
IDENTIFIER_CHARS_MAX = 63
CREATE_LOCK = 0x6C735F6B76
"""Key of the advisory lock under which tables are made ("ls_kv")."""

_NOT_A_NUMBER = ("22P02", "22003", "22021")
"""SQLSTATEs of a cast to bigint: not a number, out of range, not text."""


class PostgresKV(KVBackend):
    """`clock` (seconds) replaces the database's own clock, which all nodes agree on."""

    def __init__(self, config: KVPostgresBackend, *, clock: Callable[[], float] | None = None) -> None:
        super().__init__(server=config.namespace)
        self._config = config
        self._clock = clock
        self._table = TABLE_PREFIX + config.table_name
        if len(self._table) > IDENTIFIER_CHARS_MAX - len("_by_expiry"):
            raise StoreRefused(f"the table_name {config.table_name!r} of a kv_postgres backend is too long")
        self._sql = _Statements(self._table, ":now" if clock else "extract(epoch FROM statement_timestamp())")
        self._engine = postgres_engine(config, autocommit=True)
        self._sweeper = Sweeper(f"KV {self._table}", self.sweep)

    async def open(self) -> None:
        async with postgres_errors(self._config), self._engine.connect() as connection:
            await connection.execution_options(isolation_level="READ COMMITTED")
            async with connection.begin():
                await connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": CREATE_LOCK})
                await connection.run_sync(_create, self._table)
        self._sweeper.start()

    async def close(self) -> None:
        await self._sweeper.stop()
        await self._engine.dispose()

    async def sweep(self, rows_max: int) -> int:
        return len(await self._run(self._sql.sweep, rows_max=rows_max))

    async def get(self, key: bytes) -> bytes | None:
        rows = await self._run(self._sql.get, key=key)
        return bytes(rows[0][0]) if rows else None

    async def set(self, key: bytes, value: bytes, ttl_s: float | None) -> None:
        await self._run(self._sql.set, key=key, value=value, ttl_s=ttl_s)

    async def delete(self, key: bytes) -> bool:
        rows = await self._run(self._sql.delete, key=key)
        return bool(rows) and bool(rows[0][0])

    async def compare_and_set(self, key: bytes, expected: bytes | None, value: bytes, ttl_s: float | None) -> bool:
        if expected is None:
            return bool(await self._run(self._sql.set_if_absent, key=key, value=value, ttl_s=ttl_s))
        return bool(await self._run(self._sql.set_if_equal, key=key, value=value, ttl_s=ttl_s, expected=expected))

    async def add(self, key: bytes, amount: int, ttl_s: float | None) -> int:
        try:
            rows = await self._run(self._sql.add, key=key, value=b"%d" % amount, amount=amount, ttl_s=ttl_s)
        except sa.exc.DBAPIError as error:
            if sqlstate(error) in _NOT_A_NUMBER:
                raise NotACounter("the value under this key is not a counter of 64 bits") from error
            raise
        return int(rows[0][0])

    async def scan(self, prefix: bytes) -> AsyncIterator[bytes]:
        start, end = prefix, prefix_end(prefix)
        while True:
            rows = await self._run(self._sql.scan, start=start, end=end, rows_max=SCAN_PAGE_KEYS)
            for (key,) in rows:
                yield bytes(key)
            if len(rows) < SCAN_PAGE_KEYS:
                return
            start = bytes(rows[-1][0]) + b"\0"

    async def _run(self, statement: sa.TextClause, **params: Any) -> list[Any]:
        if self._clock is not None:
            params["now"] = self._clock()
        async with postgres_errors(self._config), self._engine.connect() as connection:
            result = await connection.execute(statement, params)
            return list(result.all()) if result.returns_rows else []


class _Statements:
    """Each operation is one statement: atomic by itself. Only the checked table name is written into the text."""

    def __init__(self, table: str, now: str) -> None:
        live = f"({table}.expires_at IS NULL OR {table}.expires_at > {now})"
        insert = f"INSERT INTO {table} (key, value, expires_at) VALUES (:key, :value, {now} + CAST(:ttl_s AS float8))"
        upsert = f"{insert} ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at"
        total = f"(CAST(convert_from({table}.value, 'UTF8') AS bigint) + CAST(:amount AS bigint))"
        self.get = _text(f"SELECT value FROM {table} WHERE key = :key AND {live}", now)
        self.set = _text(upsert, now)
        self.set_if_absent = _text(f"{upsert} WHERE NOT {live} RETURNING 1", now)
        self.set_if_equal = _text(
            f"UPDATE {table} SET value = :value, expires_at = {now} + CAST(:ttl_s AS float8) "
            f"WHERE key = :key AND value = :expected AND {live} RETURNING 1",
            now,
        )
        self.delete = _text(f"DELETE FROM {table} WHERE key = :key RETURNING {live}", now)
        self.add = _text(
            f"{insert} ON CONFLICT (key) DO UPDATE SET "
            f"value = CASE WHEN {live} THEN convert_to(CAST({total} AS text), 'UTF8') ELSE excluded.value END, "
            f"expires_at = CASE WHEN {live} THEN {table}.expires_at ELSE excluded.expires_at END RETURNING value",
            now,
        )
        self.scan = _text(
            f"SELECT key FROM {table} WHERE key >= :start AND key < :end AND {live} ORDER BY key LIMIT :rows_max", now
        )
        self.sweep = _text(
            f"DELETE FROM {table} WHERE key IN (SELECT key FROM {table} WHERE expires_at <= {now} "
            "ORDER BY expires_at LIMIT :rows_max FOR UPDATE SKIP LOCKED) RETURNING 1",
            now,
        )


def _text(sql: str, now: str) -> sa.TextClause:
    statement = sa.text(sql.replace(":now", "CAST(:now AS float8)") if now == ":now" else sql)
    binary = [name for name in ("key", "value", "expected", "start", "end") if f":{name}" in sql]
    return statement.bindparams(*(sa.bindparam(name, type_=sa.LargeBinary) for name in binary))


def _create(connection: sa.Connection, table: str) -> None:
    """Make our tables, or see that they are ours."""
    connection.execute(
        sa.text("CREATE TABLE IF NOT EXISTS ls_kv_version (table_name text PRIMARY KEY, version integer NOT NULL)")
    )
    known = sa.text("SELECT version FROM ls_kv_version WHERE table_name = :table")
    version = connection.execute(known, {"table": table}).scalar()
    if version is None:
        if sa.inspect(connection).has_table(table):
            raise StoreRefused(f"the table {table} was not made by this server; choose another table_name")
        connection.execute(
            sa.text(f"CREATE TABLE {table} (key bytea PRIMARY KEY, value bytea NOT NULL, expires_at double precision)")
        )
        connection.execute(
            sa.text(f"CREATE INDEX {table}_by_expiry ON {table} (expires_at) WHERE expires_at IS NOT NULL")
        )
        connection.execute(
            sa.text("INSERT INTO ls_kv_version VALUES (:table, :version)"),
            {"table": table, "version": SCHEMA_VERSION},
        )
    elif version > SCHEMA_VERSION:
        raise StoreRefused(f"{table} has schema {version}, made by a newer server; this one knows {SCHEMA_VERSION}")
