"""PostgreSQL through asyncpg, with statements that SQLAlchemy compiled; and what its errors mean to a caller."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, Insert, insert
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from llama_stack.config.storage import KVPostgresBackend, SqlPostgresBackend
from llama_stack.storage.errors import StoreRefused, StoreUnavailable
from llama_stack.storage.sql.database import Compiled, Database, Params, Prepared, Query, Row, Written
from llama_stack.storage.sql.migrate import check_postgres, migrate_postgres
from llama_stack.storage.sql.postgres_pool import ConnectionPool, Lent, PoolExhausted
from llama_stack_api.errors import Conflict

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import SQLCompiler

    from llama_stack.storage.sql.postgres_pool import Driver

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
    return create_async_engine(
        url,
        connect_args=_connect_args(config),
        pool_size=config.pool_size,
        max_overflow=config.max_overflow,
        pool_recycle=config.pool_recycle,
        pool_pre_ping=config.pool_pre_ping,
        pool_timeout=POOL_TIMEOUT_S,
        hide_parameters=True,
        **({"isolation_level": "AUTOCOMMIT"} if autocommit else {}),
    )


def _connect_args(config: PostgresBackend) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        # Not in the URL, where the directory of a Unix socket would need escapes.
        "host": config.host,
        "port": config.port,
        "timeout": CONNECT_TIMEOUT_S,
        # The server ends the statement; should it not answer at all, the client gives up soon after.
        "command_timeout": STATEMENT_TIMEOUT_S + 5,
        "server_settings": {
            "application_name": "llama-stack",
            "statement_timeout": str(int(STATEMENT_TIMEOUT_S * 1000)),
            "jit": "off",  # compiling costs more than it saves in statements of milliseconds
        },
    }
    if config.ssl_mode is not None:
        arguments["ssl"] = _ssl(config)
    return arguments


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


@contextmanager
def driver_errors(config: PostgresBackend) -> Iterator[None]:
    """What asyncpg raises, as `StoreUnavailable` or `Conflict`; what is a mistake of ours stays as it is."""
    import asyncpg

    try:
        yield
    except PoolExhausted:
        connections = f"{config.pool_size} connections and {config.max_overflow} more"
        raise _unavailable(config, f"{connections} are in use; a larger pool_size allows more") from None
    except asyncpg.IntegrityConstraintViolationError as error:
        raise Conflict(f"the row conflicts with one that is stored: {error}") from error
    except asyncpg.PostgresError as error:
        if (error.sqlstate or "")[:2] in _UNAVAILABLE:
            raise _unavailable(config, str(error)) from error
        raise
    except (OSError, TimeoutError, asyncpg.InterfaceError) as error:
        if isinstance(error, ValueError):  # of an argument
            raise
        raise _unavailable(config, str(error) or type(error).__name__) from error


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
    """Any number of processes and nodes may serve from it.

    Statements are compiled once and run by asyncpg itself, which prepares them once a connection.
    """

    shared = True

    def __init__(self, config: SqlPostgresBackend, *, read_only: bool = False) -> None:
        self._config = config
        self._read_only = read_only
        self._engine = postgres_engine(config)
        """For migrations alone."""
        self._dialect = PGDialect_asyncpg()  # type: ignore[no-untyped-call]
        self._queries: WeakKeyDictionary[Query, Compiled] = WeakKeyDictionary()
        """Compiled forms, which do not hold their query: one that is made for a single read goes with it."""
        self._connections = ConnectionPool(
            self._connect,
            kept=config.pool_size,
            overflow=config.max_overflow,
            wait_s=POOL_TIMEOUT_S,
            recycle_s=config.pool_recycle,
            ping=config.pool_pre_ping,
        )

    async def open(self) -> None:
        async with postgres_errors(self._config), self._engine.connect() as connection, connection.begin():
            await connection.run_sync(check_postgres if self._read_only else migrate_postgres)
        await self._engine.dispose()

    async def close(self) -> None:
        await self._engine.dispose()
        await self._connections.close()

    async def read(self, query: Query, params: Params | None = None) -> Sequence[Row]:
        compiled = self._queries.get(query)
        if compiled is None:
            compiled = self._queries[query] = self._compile(query)
        (found,) = await self._run([(compiled, params or {})], repeatable=True)
        return found.rows

    async def listen(self, channel: str, heard: Callable[[str], None]) -> None:
        with driver_errors(self._config):
            connection = await self._connect()
            gone = asyncio.Event()
            try:
                connection.add_termination_listener(lambda _connection: gone.set())
                await connection.add_listener(channel, lambda _connection, _pid, _channel, payload: heard(str(payload)))
                await gone.wait()
            finally:
                connection.terminate()
        raise _unavailable(self._config, "the connection that listens is gone")

    def _compile(self, statement: sa.Executable) -> Compiled:
        compiled: SQLCompiler = statement.compile(dialect=self._dialect)  # type: ignore[attr-defined]
        returns = bool(compiled.effective_returning) or isinstance(statement, sa.Select)
        names = tuple(compiled.positiontup or ())
        return Compiled(str(compiled), dict(compiled.params), names, returns)

    async def write(self, *steps: tuple[Prepared, Params], durable: bool = False) -> list[Written]:
        """`durable` changes nothing: the server's `synchronous_commit` holds for every commit."""
        if self._read_only:
            raise StoreUnavailable(f"the database {self._config.db} is open for reading only")
        return await self._run([(prepared.compiled, params) for prepared, params in steps])

    def insert(self, table: sa.Table) -> Insert:
        return insert(table)

    def json_has(self, column: sa.ColumnElement[str], key: str, value: str) -> sa.ColumnElement[bool]:
        has: sa.ColumnElement[bool] = sa.cast(column, JSONB)[key].astext == value
        return has

    async def _run(self, steps: Sequence[tuple[Compiled, Params]], *, repeatable: bool = False) -> list[Written]:
        """One transaction. Once more if its connection turns out to be dead before anything was done, or at any time
        if it is `repeatable`."""
        import asyncpg

        with driver_errors(self._config):
            lent: Lent | None = None
            try:
                async with self._connections.lend() as lent:
                    return await _perform(lent, steps)
            except (OSError, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
                if lent is None or (lent.used and not repeatable) or not _is_lost(error):
                    raise
            async with self._connections.lend(fresh=True) as lent:
                return await _perform(lent, steps)

    async def _connect(self) -> Driver:
        return await connect_to(self._config)


async def connect_to(config: PostgresBackend) -> Driver:
    """A connection of its own; what goes wrong is asyncpg's, see `driver_errors`."""
    import asyncpg

    password = config.password.get_secret_value() if config.password else None
    connection: Driver = await asyncpg.connect(
        user=config.user, password=password, database=config.db, **_connect_args(config)
    )
    return connection


async def _perform(lent: Lent, steps: Sequence[tuple[Compiled, Params]]) -> list[Written]:
    import asyncpg

    connection = lent.connection
    lent.broken = True  # unless we get so far as to know better: a cancelled statement leaves who knows what
    try:
        if len(steps) == 1:  # a lone statement is a transaction by itself
            lent.used = True
            written = [await _execute(connection, *steps[0])]
        else:
            await connection.execute("BEGIN")
            lent.used = True
            written = [await _execute(connection, *step) for step in steps]
            await connection.execute("COMMIT")
    except asyncpg.PostgresError:
        if not connection.is_closed():
            if len(steps) > 1:
                await connection.execute("ROLLBACK")
            lent.broken = False
        raise
    lent.broken = False
    return written


async def _execute(connection: Driver, compiled: Compiled, params: Params) -> Written:
    values = [params[name] if name in params else compiled.defaults[name] for name in compiled.names]
    if compiled.returns:
        rows = [tuple(row) for row in await connection.fetch(compiled.sql, *values)]
        return Written(len(rows), rows)
    status = await connection.execute(compiled.sql, *values)  # "DELETE 3"
    return Written(int(status.rpartition(" ")[2]), [])


def _is_lost(error: Exception) -> bool:
    """Whether the connection is gone, as against what was asked of it."""
    import asyncpg

    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "")[:2] in ("08", "57") and not isinstance(error, asyncpg.QueryCanceledError)
    return not isinstance(error, TimeoutError | ValueError)
