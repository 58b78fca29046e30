"""Providers whose index is a server's, or a library's that is one."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from llama_stack_api.ports.vector_io import VectorIndex
from tests.providers.vector_io.suite import Engine, opened_provider
from tests.support.databases import Postgres
from tests.support.vector_engines import chroma, elasticsearch, milvus, qdrant, weaviate
from tests.support.vector_engines.loopback import serving


def _pgvector(directory: Path, request: pytest.FixtureRequest) -> AbstractAsyncContextManager[VectorIndex]:
    postgres: Postgres = request.getfixturevalue("postgres")
    where = {"host": postgres.socket_directory, "db": postgres.create_database()}
    return opened_provider("remote::pgvector", directory, **where)


def _pgvector_by_lists(directory: Path, request: pytest.FixtureRequest) -> AbstractAsyncContextManager[VectorIndex]:
    postgres: Postgres = request.getfixturevalue("postgres")
    where = {"host": postgres.socket_directory, "db": postgres.create_database()}
    lists = {"type": "IVFFlat", "nlist": 4, "nprobe": 4}
    return opened_provider("remote::pgvector", directory, **where, vector_index=lists, distance_metric="L2")


@contextlib.asynccontextmanager
async def _qdrant(directory: Path, request: pytest.FixtureRequest) -> AsyncIterator[VectorIndex]:
    server = qdrant.QdrantServer()
    async with (
        serving(server.application()) as loopback,
        opened_provider("remote::qdrant", directory, url=loopback.url, api_key=qdrant.KEY) as provider,
    ):
        yield provider
    assert all(fields == qdrant.INDEXABLE for fields in server.indexed.values())
    server.client.close()


@contextlib.asynccontextmanager
async def _qdrant_inline(directory: Path, request: pytest.FixtureRequest) -> AsyncIterator[VectorIndex]:
    """In memory where that can be had: the library waits for the disk after each point."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as path:
        async with opened_provider("inline::qdrant", directory, path=path) as provider:
            yield provider


@contextlib.asynccontextmanager
async def _chroma(directory: Path, request: pytest.FixtureRequest) -> AsyncIterator[VectorIndex]:
    with chroma.chroma_server(directory / "server") as url:
        async with opened_provider("remote::chromadb", directory, url=url) as provider:
            yield provider


def _chroma_inline(directory: Path, request: pytest.FixtureRequest) -> AbstractAsyncContextManager[VectorIndex]:
    return opened_provider("inline::chromadb", directory, db_path=str(directory / "chroma"))


@contextlib.asynccontextmanager
async def _milvus(directory: Path, request: pytest.FixtureRequest) -> AsyncIterator[VectorIndex]:
    with milvus.milvus_server(directory / "server") as uri:
        async with opened_provider("remote::milvus", directory, uri=uri) as provider:
            yield provider


def _milvus_inline(directory: Path, request: pytest.FixtureRequest) -> AbstractAsyncContextManager[VectorIndex]:
    return opened_provider("inline::milvus", directory, db_path=str(directory / "milvus.db"))


@contextlib.asynccontextmanager
async def _elasticsearch(directory: Path, request: pytest.FixtureRequest) -> AsyncIterator[VectorIndex]:
    async with serving(elasticsearch.ElasticsearchServer().application()) as loopback:
        config = {"elasticsearch_url": loopback.url, "elasticsearch_api_key": elasticsearch.KEY}
        async with opened_provider("remote::elasticsearch", directory, **config) as provider:
            yield provider


@contextlib.asynccontextmanager
async def _weaviate(directory: Path, request: pytest.FixtureRequest) -> AsyncIterator[VectorIndex]:
    async with serving(weaviate.WeaviateServer().application()) as loopback:
        config = {"weaviate_cluster_url": loopback.url, "weaviate_api_key": weaviate.KEY}
        async with opened_provider("remote::weaviate", directory, **config) as provider:
            yield provider


ENGINES: list[Engine] = [
    Engine("pgvector", _pgvector),
    Engine("pgvector-ivfflat", _pgvector_by_lists),
    Engine("qdrant", _qdrant, exact=False),
    Engine("qdrant-inline", _qdrant_inline, exact=False),
    Engine("chromadb", _chroma, exact=False),
    Engine("chromadb-inline", _chroma_inline, exact=False),
    Engine("elasticsearch", _elasticsearch, exact=False),
    Engine("weaviate", _weaviate, exact=False),
    Engine("milvus", _milvus, exact=False),
    Engine("milvus-inline", _milvus_inline, exact=False),
]
