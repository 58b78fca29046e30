"""A database that is away, stalls or comes back: a clear error soon, never a hang, and then work as before."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import Awaitable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from llama_stack.config.storage import KVPostgresBackend, KVRedisBackend, SqlPostgresBackend
from llama_stack.storage.errors import StoreUnavailable
from llama_stack.storage.kv import open_kv
from llama_stack.storage.sql import postgres as postgres_module
from llama_stack.storage.sql.completions import CompletionStore
from llama_stack.storage.sql.open import open_sql
from llama_stack.storage.sql.postgres import postgres_engine, postgres_errors
from llama_stack_api.principal import Principal
from tests.support.databases import Postgres, redis_backend, redis_server

pytestmark = pytest.mark.anyio
ME = Principal(id="me")


async def seconds_to_fail(operation: Awaitable[object], match: str) -> float:
    loop = asyncio.get_running_loop()
    start = loop.time()
    with pytest.raises(StoreUnavailable, match=match) as raised:
        await operation
    assert raised.value.status == 503
    return loop.time() - start


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def test_redis_goes_and_comes_back() -> None:
    with tempfile.TemporaryDirectory(prefix="ls-redis-") as directory:
        server = redis_server(Path(directory))
        await asyncio.to_thread(server.start)
        backend = await open_kv(redis_backend(server))
        kv = backend.bind("t", "n")
        await kv.set("k", b"v")
        await asyncio.to_thread(server.stop)
        for operation in (
            kv.get("k"),
            kv.set("k", b""),
            kv.delete("k"),
            kv.add("n", 1),
            kv.compare_and_set("k", None, b""),
            anext(kv.scan()),
        ):
            assert await seconds_to_fail(operation, "Redis at the configured url does not answer") < 3
        await asyncio.to_thread(server.start)
        assert await kv.add("n", 1) == 1
        assert await kv.get("k") is None, "nothing is kept by this server"
        await backend.close()
        await asyncio.to_thread(server.stop)


async def test_redis_that_is_away_does_not_stop_the_start(closed_port: int) -> None:
    backend = await open_kv(KVRedisBackend(host="127.0.0.1", port=closed_port))
    assert await seconds_to_fail(backend.bind("t", "n").get("k"), f"127.0.0.1:{closed_port}") < 3
    await backend.close()


async def test_redis_that_stalls(silent_port: int) -> None:
    backend = await open_kv(KVRedisBackend(host="127.0.0.1", port=silent_port))
    assert await seconds_to_fail(backend.bind("t", "n").get("k"), "does not answer") < 6
    await backend.close()


async def test_redis_by_host_and_port() -> None:
    with tempfile.TemporaryDirectory(prefix="ls-redis-") as directory:
        server = redis_server(Path(directory), tcp=True)
        await asyncio.to_thread(server.start)
        backend = await open_kv(redis_backend(server))
        kv = backend.bind("t", "n")
        await kv.set("k", b"v", ttl_s=100)
        assert await kv.get("k") == b"v"
        await backend.close()
        await asyncio.to_thread(server.stop)


async def test_postgres_that_is_away(closed_port: int) -> None:
    where = {"host": "127.0.0.1", "port": closed_port, "user": "u", "password": "hunter2"}
    for opening in (
        open_sql(SqlPostgresBackend.model_validate(where)),
        open_kv(KVPostgresBackend.model_validate(where)),
    ):
        assert await seconds_to_fail(opening, f"PostgreSQL at 127.0.0.1:{closed_port}") < 6


async def test_postgres_that_stalls(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_module, "CONNECT_TIMEOUT_S", 0.2)
    config = SqlPostgresBackend(host="127.0.0.1", port=silent_port, user="u")
    assert await seconds_to_fail(open_sql(config), "does not answer") < 3


async def test_a_statement_is_bounded(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_module, "STATEMENT_TIMEOUT_S", 0.1)
    config = postgres.sql_backend(postgres.create_database())
    engine = postgres_engine(config)

    async def sleep() -> None:
        async with postgres_errors(config), engine.connect() as connection:
            await connection.execute(sa.text("SELECT pg_sleep(60)"))

    assert await seconds_to_fail(sleep(), "statement timeout") < 3
    await engine.dispose()


async def test_postgres_connections_that_were_cut_are_replaced(postgres: Postgres) -> None:
    name = postgres.create_database()
    database = await open_sql(postgres.sql_backend(name))
    store = CompletionStore(database)
    await store.save(ME, b'{"id":"c-1"}', b"[]", model="m")
    postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    assert (await store.get(ME, "c-1")).id == "c-1"
    await database.close()


async def test_an_exhausted_pool_is_an_error_not_a_hang(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_module, "POOL_TIMEOUT_S", 0.1)
    config = postgres.sql_backend(postgres.create_database()).model_copy(update={"pool_size": 1, "max_overflow": 0})
    database = await open_sql(config)
    store = CompletionStore(database)
    async with database._connections.lend():  # type: ignore[attr-defined]
        assert await seconds_to_fail(store.get(ME, "c-1"), "pool_size") < 3
    await store.save(ME, b'{"id":"c-1"}', b"[]", model="m")
    await database.close()
