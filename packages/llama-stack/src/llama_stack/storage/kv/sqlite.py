"""Keys and values in a SQLite file, by one thread. Several processes may share the file."""

# ruff: noqa: S608 — only constants are written into SQL; values are bound.

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from llama_stack.storage.errors import StoreRefused
from llama_stack.storage.kv.base import KVBackend, check_counter, parse_counter, prefix_end
from llama_stack.storage.sql.writer import SqliteWriter
from llama_stack.storage.sweeper import Sweeper

SCHEMA_VERSION = 1
SCAN_PAGE_KEYS = 500

_LIVE = "(ls_kv.expires_at IS NULL OR ls_kv.expires_at > :now)"
_GET = f"SELECT value, expires_at FROM ls_kv WHERE key = :key AND {_LIVE}"
_SET = (
    "INSERT INTO ls_kv (key, value, expires_at) VALUES (:key, :value, :expires_at) "
    "ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at"
)
_DELETE = f"DELETE FROM ls_kv WHERE key = :key RETURNING {_LIVE}"
_SET_IF_ABSENT = f"{_SET} WHERE NOT {_LIVE} RETURNING 1"
_SET_IF_EQUAL = (
    f"UPDATE ls_kv SET value = :value, expires_at = :expires_at WHERE key = :key AND value = :expected AND {_LIVE} "
    "RETURNING 1"
)
_SCAN = f"SELECT key FROM ls_kv WHERE key >= :start AND key < :end AND {_LIVE} ORDER BY key LIMIT :keys_max"
_SWEEP = (
    "DELETE FROM ls_kv WHERE key IN "
    "(SELECT key FROM ls_kv WHERE expires_at <= :now ORDER BY expires_at LIMIT :rows_max)"
)


class SqliteKV(KVBackend):
    def __init__(self, path: Path, *, server: str | None = None, clock: Callable[[], float] = time.time) -> None:
        super().__init__(server=server)
        self._clock = clock
        self._writer = SqliteWriter(path, setting="number of KV operations at a time (lower the server's concurrency)")
        self._sweeper = Sweeper(f"KV {path.name}", self.sweep)

    async def open(self) -> None:
        await self._writer.open()
        await self._writer.run(_create)
        self._sweeper.start()

    async def close(self) -> None:
        await self._sweeper.stop()
        await self._writer.close()

    async def sweep(self, rows_max: int) -> int:
        params = {"now": self._clock(), "rows_max": rows_max}
        return await self._writer.run(lambda connection: connection.execute(_SWEEP, params).rowcount)

    async def get(self, key: bytes) -> bytes | None:
        params = {"key": key, "now": self._clock()}
        row = await self._writer.run(lambda connection: connection.execute(_GET, params).fetchone(), reads=True)
        return None if row is None else bytes(row[0])

    async def set(self, key: bytes, value: bytes, ttl_s: float | None) -> None:
        params = {"key": key, "value": value, "expires_at": self._expiry(ttl_s)}
        await self._writer.run(lambda connection: connection.execute(_SET, params))

    async def delete(self, key: bytes) -> bool:
        params = {"key": key, "now": self._clock()}
        row = await self._writer.run(lambda connection: connection.execute(_DELETE, params).fetchone())
        return row is not None and bool(row[0])

    async def compare_and_set(self, key: bytes, expected: bytes | None, value: bytes, ttl_s: float | None) -> bool:
        sql = _SET_IF_ABSENT if expected is None else _SET_IF_EQUAL
        params = {
            "key": key,
            "expected": expected,
            "value": value,
            "expires_at": self._expiry(ttl_s),
            "now": self._clock(),
        }
        return await self._writer.run(lambda connection: connection.execute(sql, params).fetchone()) is not None

    async def add(self, key: bytes, amount: int, ttl_s: float | None) -> int:
        now, fresh_expiry = self._clock(), self._expiry(ttl_s)

        def job(connection: sqlite3.Connection) -> int:
            row = connection.execute(_GET, {"key": key, "now": now}).fetchone()
            value, expires_at = row or (b"0", fresh_expiry)
            total = check_counter(parse_counter(value) + amount)
            connection.execute(_SET, {"key": key, "value": b"%d" % total, "expires_at": expires_at})
            return total

        return await self._writer.run(job)

    async def scan(self, prefix: bytes) -> AsyncIterator[bytes]:
        start, end = prefix, prefix_end(prefix)
        while True:
            rows = await self._page(start, end)
            for (key,) in rows:
                yield key
            if len(rows) < SCAN_PAGE_KEYS:
                return
            start = rows[-1][0] + b"\0"

    async def _page(self, start: bytes, end: bytes) -> list[tuple[bytes]]:
        params = {"start": start, "end": end, "now": self._clock(), "keys_max": SCAN_PAGE_KEYS}
        return await self._writer.run(lambda connection: connection.execute(_SCAN, params).fetchall(), reads=True)

    def _expiry(self, ttl_s: float | None) -> float | None:
        return None if ttl_s is None else self._clock() + ttl_s


def _create(connection: sqlite3.Connection) -> None:
    """Make our tables, or see that they are ours."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "ls_kv_version" not in tables:
        if "ls_kv" in tables:
            raise StoreRefused("the table ls_kv was not made by this server: it has no ls_kv_version; use another file")
        connection.execute("CREATE TABLE ls_kv_version (version INTEGER NOT NULL)")
        connection.execute("INSERT INTO ls_kv_version VALUES (?)", (SCHEMA_VERSION,))
        connection.execute("CREATE TABLE ls_kv (key BLOB PRIMARY KEY, value BLOB NOT NULL, expires_at REAL)")
        connection.execute("CREATE INDEX ls_kv_by_expiry ON ls_kv (expires_at) WHERE expires_at IS NOT NULL")
    (version,) = connection.execute("SELECT version FROM ls_kv_version").fetchone()
    if version > SCHEMA_VERSION:
        raise StoreRefused(f"this KV file has schema {version}, of a newer server; this one knows {SCHEMA_VERSION}")
