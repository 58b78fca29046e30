from typing import Any

from llama_stack_api import (
    Api,
    EmbeddedChunk,
    InsertChunksRequest,
    OpenAIEmbeddingsRequestWithExtraBody,
    QueryChunksRequest,
    QueryChunksResponse,
    VectorStore,
)
from llama_stack_api.vector_io import DeleteChunksRequest


class FormerVectors:
    """Keeps all in memory. Embeds queries by the inference API, as providers of that time do."""

    def __init__(self, inference: Any) -> None:
        self.inference = inference
        self.stores: dict[str, VectorStore] = {}
        self.chunks: dict[str, dict[str, EmbeddedChunk]] = {}

    async def register_vector_store(self, vector_store: VectorStore) -> None:
        self.stores[vector_store.identifier] = vector_store
        self.chunks.setdefault(vector_store.identifier, {})

    async def unregister_vector_store(self, vector_store_id: str) -> None:
        del self.stores[vector_store_id], self.chunks[vector_store_id]

    async def insert_chunks(self, request: InsertChunksRequest) -> None:
        for chunk in request.chunks:
            self.chunks[request.vector_store_id][chunk.chunk_id] = chunk

    async def delete_chunks(self, request: DeleteChunksRequest) -> None:
        for chunk in request.chunks:
            self.chunks[request.vector_store_id].pop(chunk.chunk_id, None)

    async def query_chunks(self, request: QueryChunksRequest) -> QueryChunksResponse:
        params = request.params or {}
        model = self.stores[request.vector_store_id].embedding_model
        asked = OpenAIEmbeddingsRequestWithExtraBody(model=model, input=[str(request.query)])
        wanted = (await self.inference.openai_embeddings(asked)).data[0].embedding
        near = sorted(self.chunks[request.vector_store_id].values(), key=lambda each: distance(wanted, each.embedding))
        near = near[: params.get("max_chunks", 3)]
        scores = [1.0 / (1.0 + distance(wanted, each.embedding)) for each in near]
        return QueryChunksResponse(chunks=near, scores=scores)


def distance(one: list[float], other: list[float]) -> float:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


async def get_provider_impl(config: Any, deps: dict[Any, Any]) -> FormerVectors:
    return FormerVectors(deps[Api.inference])
