"""What is kept where: engines keep chunks, the provider's KV store what it must know beside them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from llama_stack.routing.catalog import Catalog
from llama_stack.storage.kv.memory import MemoryKV
from llama_stack_api.api import Api
from llama_stack_api.ports.kv import KV
from llama_stack_api.ports.vector_io import Index, VectorQuery
from llama_stack_api.provider import ProviderContext
from tests.providers.vector_io.suite import chunk, filter_of, id_of, ids, packed, some_vector

pytestmark = pytest.mark.anyio

INDEX = Index("vs_1", 8)


@contextlib.asynccontextmanager
async def _opened(type: str, directory: Path, kv: KV) -> AsyncIterator[Any]:
    """With the files below its own state directory, as without any config."""
    descriptor = Catalog(entry_points=tuple).find(Api.vector_io, type)
    context = ProviderContext("mine", type, directory, _no_http, kv)
    provider = descriptor.create(descriptor.config(), context)
    await provider.open()
    try:
        yield provider
    finally:
        await provider.close()


def _no_http(network: Any) -> Any:
    raise AssertionError("an inline provider goes nowhere")


@pytest.mark.parametrize("type", ["inline::qdrant", "inline::chromadb", "inline::milvus"])
async def test_chunks_and_filters_survive_a_restart(type: str, tmp_path: Path) -> None:
    kv = MemoryKV().bind("default", "mine")
    async with _opened(type, tmp_path, kv) as provider:
        await provider.create_index(INDEX)
        dates = ["2024-01-31", "2024-02-29", "x" * 700]
        await provider.upsert_chunks(INDEX, [chunk(n, attributes={"date": date}) for n, date in enumerate(dates)])
        await provider.upsert_chunks(INDEX, [chunk(7, document="file-2", attributes={"date": "2020"})])
        await provider.set_attributes(INDEX, "file-2", {"date": "2025-06-01", "size": 5})
    async with _opened(type, tmp_path, kv) as provider:
        assert (await provider.health()).status == "OK"
        expected: list[tuple[dict[str, Any], set[int]]] = [
            ({"type": "gt", "key": "date", "value": "2024-02-01"}, {1, 2, 7}),
            ({"type": "gt", "key": "date", "value": "x" * 699}, {2}),
            ({"type": "lt", "key": "date", "value": "2021"}, set()),
            ({"type": "gte", "key": "size", "value": 5.0}, {7}),
        ]
        for wanted, found in expected:
            query = VectorQuery(packed(some_vector(1)), 10, filter_of(wanted))
            assert set(ids(await provider.search_vectors(INDEX, query))) == {id_of(n) for n in found}
        await provider.delete_index(INDEX)
    assert [key async for key in kv.scan()] == []
