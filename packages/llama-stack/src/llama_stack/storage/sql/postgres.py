"""PostgreSQL through SQLAlchemy and asyncpg: the engine, and what its errors mean to a caller."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, Insert, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from llama_stack.config.storage import KVPostgresBackend, SqlPostgresBackend
from llama_stack.storage.errors import StoreRefused, StoreUnavailable
from llama_stack.storage.sql.database import Database, Params, Prepared, Row, Written
from llama_stack.storage.sql.migrate import check_postgres, migrate_postgres
from llama_stack_api.errors import Conflict

PostgresBackend = KVPostgresBackend | SqlPostgresBackend

CONNECT_TIMEOUT_S = 5.0
POOL_TIMEOUT_S = 10.0
STATEMENT_TIMEOUT_S = 30.0

_UNAVAILABLE = ("08", "53", "57", "58")
"""Classes of SQLSTATE: connection lost, out of resources, shutdown or cancelled, system error."""


def postgres_engine(config: PostgresBackend, *, autocommit: bool = False) -> AsyncEngine:
    """An engine that has not connected yet."""
    try:
        import asyncpg  # noqa: F401 — the extra `postgres`; told here rather than by a traceback
    except ImportError:
        raise StoreRefused("PostgreSQL needs the package asyncpg: pip install 'llama-stack[postgres]'") from None
    url = sa.URL.create(
        "postgresql+asyncpg",
        username=config.user,
        password=config.password.get_secret_value() if config.password else None,
        database=config.db,
    )
    connect_args: dict[str, Any] = {
        # Not in the URL, where the directory of a Unix socket would need escapes.
        "host": config.host,
        "port": config.port,
        "timeout": CONNECT_TIMEOUT_S,
        # The server ends the statement; should it not answer at all, the client gives up soon after.
        "command_timeout": STATEMENT_TIMEOUT_S + 5,
        "server_settings": {
            "application_name": "llama-stack",
            "statement_timeout": str(int(STATEMENT_TIMEOUT_S * 1000)),
        },
    }
    if config.ssl_mode is not None:
        connect_args["ssl"] = _ssl(config)
    return create_async_engine(
        url,
        connect_args=connect_args,
        pool_size=config.pool_size,
        max_overflow=config.max_overflow,
        pool_recycle=config.pool_recycle,
        pool_pre_ping=config.pool_pre_ping,
        pool_timeout=POOL_TIMEOUT_S,
        hide_parameters=True,
        **({"isolation_level": "AUTOCOMMIT"} if autocommit else {}),
    )


@asynccontextmanager
async def postgres_errors(config: PostgresBackend) -> AsyncIterator[None]:
    """Turn what means "the database is away" into `StoreUnavailable`."""
    try:
        yield
    except (OSError, TimeoutError, sa.exc.TimeoutError) as error:
        raise _unavailable(config, str(error) or type(error).__name__) from error
    except sa.exc.DBAPIError as error:
        if error.connection_invalidated or sqlstate(error)[:2] in _UNAVAILABLE:
            raise _unavailable(config, str(error.orig)) from error
        raise


def sqlstate(error: sa.exc.DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


def _unavailable(config: PostgresBackend, detail: str) -> StoreUnavailable:
    where = f"{config.host}:{config.port}/{config.db}"
    return StoreUnavailable(f"PostgreSQL at {where} does not answer: {detail}", retry_after_s=1.0)


def _ssl(config: PostgresBackend) -> str | ssl.SSLContext:
    if config.ca_cert_path is None or config.ssl_mode in ("disable", "allow", "prefer"):
        return str(config.ssl_mode)
    # As libpq does: with a CA at hand, `require` checks the certificate too.
    context = ssl.create_default_context(cafile=str(config.ca_cert_path))
    context.check_hostname = config.ssl_mode == "verify-full"
    return context


class PostgresDatabase(Database):
    """Any number of processes and nodes may serve from it."""

    shared = True

    def __init__(self, config: SqlPostgresBackend, *, read_only: bool = False) -> None:
        self._config = config
        self._read_only = read_only
        self._engine = postgres_engine(config)
        # The same pool; a lone statement is a transaction by itself and saves two round trips.
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    async def open(self) -> None:
        async with postgres_errors(self._config), self._engine.connect() as connection, connection.begin():
            await connection.run_sync(check_postgres if self._read_only else migrate_postgres)

    async def close(self) -> None:
        await self._engine.dispose()

    async def read(self, query: sa.Select[Any], params: Params | None = None) -> Sequence[Row]:
        async with postgres_errors(self._config), self._autocommit.connect() as connection:
            return [tuple(row) for row in await connection.execute(query, params)]

    async def listen(self, channel: str, heard: Callable[[str], None]) -> None:
        async with postgres_errors(self._config), self._autocommit.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            gone = asyncio.Event()
            driver.add_termination_listener(lambda _connection: gone.set())
            await driver.add_listener(channel, lambda _connection, _pid, _channel, payload: heard(payload))
            try:
                await gone.wait()
            finally:
                driver.terminate()  # it would go on listening, so nobody else may have it
                await connection.invalidate()
        raise _unavailable(self._config, "the connection that listens is gone")

    def prepare(self, statement: sa.Executable) -> Prepared:
        return Prepared(statement)

    async def write(self, *steps: tuple[Prepared, Params], durable: bool = False) -> list[Written]:
        """`durable` changes nothing: the server's `synchronous_commit` holds for every commit."""
        if self._read_only:
            raise StoreUnavailable(f"the database {self._config.db} is open for reading only")
        engine = self._autocommit if len(steps) == 1 else self._engine
        try:
            async with postgres_errors(self._config), engine.begin() as connection:
                return [await _write(connection, *step) for step in steps]
        except sa.exc.IntegrityError as error:
            raise Conflict(f"the row conflicts with one that is stored: {error.orig}") from error

    def insert(self, table: sa.Table) -> Insert:
        return insert(table)

    def json_has(self, column: sa.ColumnElement[str], key: str, value: str) -> sa.ColumnElement[bool]:
        has: sa.ColumnElement[bool] = sa.cast(column, JSONB)[key].astext == value
        return has


async def _write(connection: AsyncConnection, prepared: Prepared, params: Params) -> Written:
    result = await connection.execute(prepared.statement, params)
    rows = [tuple(row) for row in result] if result.returns_rows else []
    return Written(max(result.rowcount, len(rows)), rows)
