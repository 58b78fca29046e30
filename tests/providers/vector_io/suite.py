"""What the suite runs over: an `Engine` opens a provider, a `Site` drives it as the server does.

To add a provider: an `Engine` in `inside.py` or `outside.py`. Its `opened` gets a directory and pytest's request (for
fixtures such as `postgres`) and yields the provider, open; a server that it needs is a real one.
"""

from __future__ import annotations

import contextlib
import math
import struct
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from llama_stack.net.client import NetClient
from llama_stack.routing.catalog import Catalog
from llama_stack.routing.opening import checked_config
from llama_stack.storage.kv.memory import MemoryKV
from llama_stack_api.api import Api
from llama_stack_api.filters import Filter
from llama_stack_api.ports.lifecycle import Closes, Opens
from llama_stack_api.ports.vector_io import (
    Attributes,
    FollowsRows,
    Hit,
    Index,
    IndexedChunk,
    KeywordIndex,
    KeywordQuery,
    VectorIndex,
    VectorQuery,
)
from llama_stack_api.provider import ProviderContext
from tests.support.chunk_rows import MemoryRows

DIMENSION = 8
_FILTERS: TypeAdapter[Any] = TypeAdapter(Filter)

Opened = Callable[[Path, pytest.FixtureRequest], AbstractAsyncContextManager[VectorIndex]]


@dataclass(frozen=True)
class Engine:
    """A provider under test.

    `exact`: small indexes are searched exactly, with ties in the order of ids also where the limit cuts them.
    `absent`: why its server cannot be had on this machine; its tests are then skipped, and say so.
    """

    name: str
    opened: Opened
    exact: bool = True
    absent: Callable[[], str | None] = lambda: None


@contextlib.asynccontextmanager
async def opened_provider(type: str, directory: Path, **config: Any) -> AsyncIterator[VectorIndex]:
    """By its descriptor, with a real HTTP client."""
    descriptor = Catalog(entry_points=tuple).find(Api.vector_io, type)
    clients: list[NetClient] = []

    def http(network: Any) -> NetClient:
        clients.append(NetClient(network, name="mine"))
        return clients[-1]

    context = ProviderContext("mine", type, directory, http, MemoryKV().bind("default", "mine"))
    provider = descriptor.create(checked_config(descriptor, config), context)
    if isinstance(provider, Opens):
        await provider.open()
    try:
        assert isinstance(provider, VectorIndex)
        yield provider
    finally:
        if isinstance(provider, Closes):
            await provider.close()
        for client in clients:
            await client.aclose()


class Site:
    """A provider that is told what the server tells it, and the rows that the server would have."""

    def __init__(self, engine: Engine, provider: VectorIndex, rows: MemoryRows | None = None) -> None:
        self.engine = engine
        self.provider = provider
        self.rows = rows or MemoryRows()
        if isinstance(provider, FollowsRows):
            provider.follow(self.rows)

    async def index(self, dimension: int = DIMENSION) -> Index:
        index = Index(f"vs_{uuid.uuid4().hex}", dimension)
        await self.provider.create_index(index)
        return index

    async def insert(self, index: Index, chunks: Sequence[IndexedChunk]) -> None:
        await self.provider.upsert_chunks(index, chunks)
        self.rows.write(index, chunks)

    async def delete_document(self, index: Index, document: str) -> None:
        self.rows.delete_document(index, document)
        await self.provider.delete_document(index, document)

    async def set_attributes(self, index: Index, document: str, attributes: Attributes) -> None:
        self.rows.set_attributes(index, document, attributes)
        await self.provider.set_attributes(index, document, attributes)

    async def delete_index(self, index: Index) -> None:
        self.rows.delete_store(index)
        await self.provider.delete_index(index)

    async def nearest(
        self, index: Index, vector: Sequence[float], limit: int = 10, filter: Filter | None = None
    ) -> list[Hit]:
        query = VectorQuery(packed(vector), limit, filter, self.rows.version(index))
        return checked(await self.provider.search_vectors(index, query), limit)

    async def found(self, index: Index, filter: Filter | None = None) -> set[str]:
        """The ids of all chunks that match, by a vector search with room for all."""
        hits = await self.nearest(index, [1.0] * index.dimension, len(self.rows.rows(index)) + 10, filter)
        return {hit.id for hit in hits}

    @property
    def keywords(self) -> KeywordIndex:
        """Skips the test for a provider without a full-text search of its own."""
        if not isinstance(self.provider, KeywordIndex):
            pytest.skip(f"{self.engine.name} has no keyword search of its own")
        return self.provider

    async def with_words(self, index: Index, *words: str, limit: int = 50, filter: Filter | None = None) -> list[Hit]:
        query = KeywordQuery(words, limit, filter, self.rows.version(index))
        return checked(await self.keywords.search_keywords(index, query), limit)


def checked(hits: list[Hit], limit: int) -> list[Hit]:
    """What holds for every list of hits: no id twice, finite scores that fall, no more than asked for."""
    scores = [hit.score for hit in hits]
    assert len({hit.id for hit in hits}) == len(hits) <= limit
    assert all(math.isfinite(score) for score in scores)
    assert scores == sorted(scores, reverse=True)
    return hits


def packed(vector: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(vector)}f", *vector)


def unpacked(vector: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(vector) // 4}f", vector)


def chunk(
    number: int,
    vector: Sequence[float] | None = None,
    *,
    document: str = "file-1",
    words: str = "",
    attributes: Mapping[str, str | float | bool] | None = None,
) -> IndexedChunk:
    """With an id of its own for each `number`, in their order. Without a vector: some vector, by the number."""
    return IndexedChunk(id_of(number), document, packed(vector or some_vector(number)), words, attributes or {})


def id_of(number: int) -> str:
    return str(uuid.UUID(int=(number << 64) | 0x4000_8000_0000_0000_0000))


def some_vector(number: int, dimension: int = DIMENSION) -> list[float]:
    return [math.cos((number + 1) * (place + 1) * 0.7) + 0.01 for place in range(dimension)]


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    """0 for a vector without a direction."""
    lengths = math.hypot(*a) * math.hypot(*b)
    return math.fsum(x * y for x, y in zip(a, b, strict=True)) / lengths if lengths else 0.0


def filter_of(wanted: Mapping[str, Any]) -> Filter:
    parsed: Filter = _FILTERS.validate_python(wanted)
    return parsed


def ids(hits: Iterable[Hit]) -> list[str]:
    return [hit.id for hit in hits]
