"""What providers say when their engine is away, slow, broken, or does not let them in."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from llama_stack_api.errors import (
    InvalidRequest,
    LlamaStackError,
    ProviderError,
    ProviderRejectedCredentials,
    ProviderTimeout,
    ProviderUnreachable,
)
from llama_stack_api.ports.vector_io import Index, KeywordIndex, KeywordQuery, VectorIndex, VectorQuery
from llama_stack_api.provider import HealthStatus
from tests.providers.vector_io.suite import chunk, filter_of, opened_provider, packed, some_vector
from tests.support.databases import Postgres
from tests.support.vector_engines.loopback import serving

pytestmark = pytest.mark.anyio

INDEX = Index("vs_1", 8)
SECRET = "s3cret-of-the-test"
BY_HTTP: dict[str, tuple[str, str]] = {
    "remote::qdrant": ("url", "api_key"),
    "remote::chromadb": ("url", "api_key"),
    "remote::weaviate": ("weaviate_cluster_url", "weaviate_api_key"),
    "remote::elasticsearch": ("elasticsearch_url", "elasticsearch_api_key"),
}
by_http = pytest.mark.parametrize("type", BY_HTTP)

Ask = Callable[[VectorIndex], Awaitable[object]]
QUERY = VectorQuery(packed(some_vector(1)), 3)
EVERYTHING: list[Ask] = [
    lambda provider: provider.create_index(INDEX),
    lambda provider: provider.upsert_chunks(INDEX, [chunk(1)]),
    lambda provider: provider.set_attributes(INDEX, "file-1", {"a": "b"}),
    lambda provider: provider.delete_document(INDEX, "file-1"),
    lambda provider: provider.search_vectors(INDEX, QUERY),
    lambda provider: provider.delete_index(INDEX),
]


def _by_http(type: str, url: str, directory: Path, **config: Any) -> AbstractAsyncContextManager[VectorIndex]:
    where, key = BY_HTTP[type]
    return opened_provider(type, directory, **{where: url, key: SECRET}, **config)


async def _all_raise(provider: VectorIndex, error: type[LlamaStackError]) -> None:
    for ask in EVERYTHING:
        with pytest.raises(error) as raised:
            await ask(provider)
        assert SECRET not in raised.value.message
        assert "'mine'" in raised.value.message
    if isinstance(provider, KeywordIndex):
        with pytest.raises(error):
            await provider.search_keywords(INDEX, KeywordQuery(("word",), 3))
    health = await provider.health()  # type: ignore[attr-defined]
    assert health.status is HealthStatus.ERROR
    assert SECRET not in (health.message or "")


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answering(respond: Callable[[], Awaitable[web.Response]]) -> web.Application:
    async def handle(request: web.Request) -> web.Response:
        await request.read()
        return await respond()

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    return application


@pytest.fixture(params=[*BY_HTTP, "remote::milvus", "remote::pgvector"])
async def dead(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[VectorIndex]:
    port = _closed_port()
    config: dict[str, Any]
    match request.param:
        case "remote::milvus":
            config = {"uri": f"http://127.0.0.1:{port}", "token": SECRET, "timeout": 2.0}
        case "remote::pgvector":
            config = {"host": "127.0.0.1", "port": port, "password": SECRET}
        case _:
            where, key = BY_HTTP[request.param]
            config = {where: f"http://127.0.0.1:{port}", key: SECRET}
    async with opened_provider(request.param, tmp_path, **config) as provider:
        yield provider


async def test_an_engine_that_is_away(dead: VectorIndex) -> None:
    await _all_raise(dead, ProviderUnreachable)


@by_http
@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials(type: str, status: int, tmp_path: Path) -> None:
    async def refuse() -> web.Response:
        return web.json_response({"status": {"error": f"who is {SECRET}?"}}, status=status)

    async with serving(_answering(refuse)) as loopback, _by_http(type, loopback.url, tmp_path) as provider:
        await _all_raise(provider, ProviderRejectedCredentials)


@by_http
async def test_an_engine_that_never_answers(type: str, tmp_path: Path) -> None:
    over = asyncio.Event()

    async def wait() -> web.Response:
        await over.wait()
        return web.Response()

    async with serving(_answering(wait)) as loopback, _by_http(type, loopback.url, tmp_path, timeout=0.1) as provider:
        with pytest.raises(ProviderTimeout):
            await provider.search_vectors(INDEX, QUERY)
        with pytest.raises(ProviderTimeout):
            await provider.create_index(INDEX)
        over.set()


@by_http
@pytest.mark.parametrize("status", [200, 400, 500, 503])
async def test_an_answer_that_is_no_json(type: str, status: int, tmp_path: Path) -> None:
    async def answer() -> web.Response:
        return web.Response(status=status, text=f"<html>{SECRET}</html>")

    async with serving(_answering(answer)) as loopback, _by_http(type, loopback.url, tmp_path) as provider:
        with pytest.raises(ProviderError) as raised:
            await provider.search_vectors(INDEX, QUERY)
        assert SECRET not in raised.value.message


async def test_postgres_refuses_a_user(postgres: Postgres, tmp_path: Path) -> None:
    database = postgres.create_database()
    postgres.execute(f"CREATE ROLE {database}_nobody NOLOGIN")
    config = {"host": postgres.socket_directory, "db": database, "user": f"{database}_nobody", "password": SECRET}
    async with opened_provider("remote::pgvector", tmp_path, **config) as provider:
        await _all_raise(provider, ProviderRejectedCredentials)


async def test_postgres_without_such_a_database(postgres: Postgres, tmp_path: Path) -> None:
    config = {"host": postgres.socket_directory, "db": "nowhere", "password": SECRET}
    async with opened_provider("remote::pgvector", tmp_path, **config) as provider:
        await _all_raise(provider, ProviderError)


async def test_a_user_of_postgres_who_may_not_make_tables(postgres: Postgres, tmp_path: Path) -> None:
    database = postgres.create_database()
    postgres.execute(f"CREATE ROLE {database}_reader LOGIN")
    config = {"host": postgres.socket_directory, "db": database, "user": f"{database}_reader"}
    async with opened_provider("remote::pgvector", tmp_path, **config) as provider:
        with pytest.raises(ProviderError, match="privilege"):
            await provider.create_index(INDEX)


async def test_a_statement_that_takes_too_long(postgres: Postgres, tmp_path: Path) -> None:
    import asyncpg

    config = {"host": postgres.socket_directory, "db": postgres.create_database()}
    async with opened_provider("remote::pgvector", tmp_path, **config) as provider:
        await provider.create_index(INDEX)
    holder = await asyncpg.connect(host=config["host"], database=config["db"], user="postgres")
    async with opened_provider("remote::pgvector", tmp_path, **config, timeout=0.1) as provider:
        async with holder.transaction():
            await holder.execute('LOCK TABLE "ls_vectors_vs_1"')
            with pytest.raises(ProviderTimeout):
                await provider.search_vectors(INDEX, QUERY)
        assert await provider.search_vectors(INDEX, QUERY) == []
    await holder.close()


async def test_postgres_cannot_hold_a_nul(postgres: Postgres, tmp_path: Path) -> None:
    config = {"host": postgres.socket_directory, "db": postgres.create_database()}
    async with opened_provider("remote::pgvector", tmp_path, **config) as provider:
        await provider.create_index(INDEX)
        with pytest.raises(InvalidRequest, match="NUL"):
            await provider.upsert_chunks(INDEX, [chunk(1, attributes={"a": "\x00"})])
        for operator in ("eq", "gt"):
            wanted = filter_of({"type": operator, "key": "a", "value": "\x00"})
            with pytest.raises(InvalidRequest, match="NUL"):
                await provider.search_vectors(INDEX, VectorQuery(QUERY.vector, 3, wanted))


async def test_files_that_another_process_has_open(tmp_path: Path) -> None:
    config = {"path": str(tmp_path / "qdrant")}
    async with opened_provider("inline::qdrant", tmp_path, **config) as first:
        await first.create_index(INDEX)
        async with opened_provider("inline::qdrant", tmp_path, **config) as second:
            with pytest.raises(ProviderError, match="another process"):
                await second.search_vectors(INDEX, QUERY)
    async with opened_provider("inline::qdrant", tmp_path, **config) as third:
        assert await third.search_vectors(INDEX, QUERY) == []
