"""Vector indexes as Chroma's collections, wherever Chroma runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from llama_stack.providers._shared.unit_vectors import unit_vector
from llama_stack.providers._shared.vector_engine import TIES, nearest, no_such_index
from llama_stack.providers._shared.vector_filters.attribute_values import AttributeValues
from llama_stack.providers._shared.vector_filters.chroma import DOCUMENT, metadata_of, where
from llama_stack_api.ports.kv import KV
from llama_stack_api.ports.vector_io import Attributes, Hit, Index, IndexedChunk, VectorQuery

RECORDS_MAX = 1000
NUMBERS_MAX = 500_000
"""Records, and components of their vectors, in one request."""
CONFIGURATION = {"hnsw": {"space": "ip"}}
"""The inner product, of vectors of length one: the cosine, also where a vector has no direction."""


class ChromaIndex:
    """The port `VectorIndex` over what a subclass asks of Chroma."""

    def __init__(self, name: str, kv: KV) -> None:
        self.name = name
        self._values = AttributeValues(kv, ordered={"number"})

    async def create_collection(self, name: str) -> None:
        """Nothing where it exists."""
        raise NotImplementedError

    async def delete_collection(self, name: str) -> None:
        """Nothing where it does not exist."""
        raise NotImplementedError

    async def ask(self, name: str, operation: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """One of `upsert`, `update`, `get`, `query` and `delete` on a collection, with the parameters of Chroma's REST
        API; None where the collection does not exist."""
        raise NotImplementedError

    async def create_index(self, index: Index) -> None:
        await self.create_collection(_collection(index))

    async def delete_index(self, index: Index) -> None:
        await self.delete_collection(_collection(index))
        await self._values.forget(index)

    async def upsert_chunks(self, index: Index, chunks: Sequence[IndexedChunk]) -> None:
        await self._values.remember(index, (chunk.attributes for chunk in chunks))
        size = max(1, min(RECORDS_MAX, NUMBERS_MAX // index.dimension))
        for start in range(0, len(chunks), size):
            some = {chunk.id: chunk for chunk in chunks[start : start + size]}
            metadatas = {each.id: metadata_of(each.document, each.attributes) for each in some.values()}
            async for former in self._records(index, {"ids": list(some)}):
                metadatas |= {id: _replacing(old, metadatas[id]) for id, old in former.items()}
            body = {
                "ids": list(some),
                "embeddings": [unit_vector(chunk.vector) for chunk in some.values()],
                "metadatas": list(metadatas.values()),
            }
            if await self.ask(_collection(index), "upsert", body) is None:
                raise no_such_index(self.name)

    async def delete_document(self, index: Index, document: str) -> None:
        await self.ask(_collection(index), "delete", {"where": {DOCUMENT: document}})

    async def set_attributes(self, index: Index, document: str, attributes: Attributes) -> None:
        await self._values.remember(index, [attributes])
        wanted = metadata_of(document, attributes)
        async for former in self._records(index, {"where": {DOCUMENT: document}}):
            metadatas = [_replacing(old, wanted) for old in former.values()]
            await self.ask(_collection(index), "update", {"ids": list(former), "metadatas": metadatas})

    async def search_vectors(self, index: Index, query: VectorQuery) -> list[Hit]:
        wanted = await self._values.resolve(index, query.filter)
        if wanted is False:
            return []
        body = {
            "query_embeddings": [unit_vector(query.vector)],
            "n_results": query.limit + TIES,
            "include": ["distances"],
        }
        if (chosen := where(wanted)) is not None:
            body["where"] = chosen
        found = await self.ask(_collection(index), "query", body)
        if not found or not found["ids"]:
            return []
        hits = [Hit(id, 1 - distance) for id, distance in zip(found["ids"][0], found["distances"][0], strict=True)]
        return nearest(hits, query.limit)

    async def _records(self, index: Index, chosen: dict[str, Any]) -> AsyncIterator[dict[str, dict[str, Any]]]:
        """The metadata of records by their ids, page by page."""
        offset = 0
        while True:
            body = {**chosen, "limit": RECORDS_MAX, "offset": offset, "include": ["metadatas"]}
            found = await self.ask(_collection(index), "get", body)
            if not found or not found["ids"]:
                return
            yield dict(zip(found["ids"], found["metadatas"], strict=True))
            offset += RECORDS_MAX


def _collection(index: Index) -> str:
    """Chroma's names begin and end with a letter or digit."""
    return f"ls-{index.id}-v"


def _replacing(former: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Chroma keeps the fields that an update does not name."""
    return {**dict.fromkeys(former), **wanted}
