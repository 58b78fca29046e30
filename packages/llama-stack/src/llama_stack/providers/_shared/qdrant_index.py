"""Vector indexes as Qdrant's collections, wherever Qdrant runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_stack.providers._shared.unit_vectors import unit_vector
from llama_stack.providers._shared.vector_engine import TIES, nearest
from llama_stack.providers._shared.vector_filters.attribute_values import AttributeValues
from llama_stack.providers._shared.vector_filters.qdrant import of_document, payload_of, query_filter
from llama_stack_api.ports.kv import KV
from llama_stack_api.ports.vector_io import Attributes, Hit, Index, IndexedChunk, VectorQuery

NUMBERS_MAX = 500_000
"""Components of the vectors in one request: about 10 MB as JSON, of the 32 that Qdrant takes."""


class QdrantIndex:
    """The port `VectorIndex` over what a subclass asks of Qdrant; parameters are as in Qdrant's REST API."""

    def __init__(self, kv: KV) -> None:
        self._values = AttributeValues(kv, ordered={"number"})

    async def create_collection(self, name: str, dimension: int) -> None:
        """Nothing where it exists."""
        raise NotImplementedError

    async def delete_collection(self, name: str) -> None:
        """Nothing where it does not exist; so are the other changes, but not `upsert`."""
        raise NotImplementedError

    async def upsert(self, name: str, points: list[dict[str, Any]]) -> None:
        raise NotImplementedError

    async def delete(self, name: str, chosen: dict[str, Any]) -> None:
        raise NotImplementedError

    async def set_payload(self, name: str, payload: dict[str, Any], chosen: dict[str, Any]) -> None:
        raise NotImplementedError

    async def query(self, name: str, body: dict[str, Any]) -> list[Hit]:
        raise NotImplementedError

    async def create_index(self, index: Index) -> None:
        await self.create_collection(index.id, index.dimension)

    async def delete_index(self, index: Index) -> None:
        await self.delete_collection(index.id)
        await self._values.forget(index)

    async def upsert_chunks(self, index: Index, chunks: Sequence[IndexedChunk]) -> None:
        await self._values.remember(index, (chunk.attributes for chunk in chunks))
        size = max(1, NUMBERS_MAX // index.dimension)
        for start in range(0, len(chunks), size):
            await self.upsert(index.id, [_point(chunk) for chunk in chunks[start : start + size]])

    async def delete_document(self, index: Index, document: str) -> None:
        await self.delete(index.id, of_document(document))

    async def set_attributes(self, index: Index, document: str, attributes: Attributes) -> None:
        await self._values.remember(index, [attributes])
        await self.set_payload(index.id, payload_of(attributes), of_document(document))

    async def search_vectors(self, index: Index, query: VectorQuery) -> list[Hit]:
        wanted = await self._values.resolve(index, query.filter)
        if wanted is False:
            return []
        body = {"query": unit_vector(query.vector), "limit": query.limit + TIES, "with_payload": False}
        if (chosen := query_filter(wanted)) is not None:
            body["filter"] = chosen
        hits = await self.query(index.id, body)
        return nearest(hits, query.limit)


def _point(chunk: IndexedChunk) -> dict[str, Any]:
    payload = {"document": chunk.document, **payload_of(chunk.attributes)}
    return {"id": chunk.id, "vector": unit_vector(chunk.vector), "payload": payload}
