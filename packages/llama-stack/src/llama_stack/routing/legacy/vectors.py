"""Vector stores: a provider that kept chunks and embedded queries itself is an index over the server's rows here.

Such a provider is asked by text, and asks inference for the text's embedding. The server has embedded the query
already, so what the provider gets back is that vector, and no model is asked twice. It knows documents by their
chunks' ids alone; which chunks a document has, and its attributes of today, are kept in the key-value store
that is the provider's own.
"""

from __future__ import annotations

import base64
import inspect
import json
import math
import struct
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from operator import mul
from typing import Any, Final

from llama_stack.routing.errors import ProviderRefused
from llama_stack.routing.legacy.calls import has
from llama_stack_api.errors import ProviderError
from llama_stack_api.filters import matches
from llama_stack_api.openai.embeddings import EmbeddingsRequest, EmbeddingsResponse
from llama_stack_api.ports.vector_io import Attributes, Hit, Index, IndexedChunk, VectorQuery
from llama_stack_api.provider import ProviderContext
from llama_stack_api.vector_io import (
    ChunkForDeletion,
    ChunkMetadata,
    DeleteChunksRequest,
    EmbeddedChunk,
    InsertChunksRequest,
    QueryChunksRequest,
    QueryChunksResponse,
)
from llama_stack_api.vector_stores import VectorStore

Method = Callable[..., Any]
NEEDED: Final = ("register_vector_store", "insert_chunks", "query_chunks", "delete_chunks")
CANDIDATES_MAX: Final = 2000
EMBEDDED_BEFORE: Final = "llama-stack/embedded-before"
"""The embedding model of every store as the provider sees it: which it was is the server's to know."""


def vector_methods(
    impl: Any, context: ProviderContext, vector: ContextVar[list[bytes]]
) -> Iterator[tuple[str, Method]]:
    """`vector` is that of the `QueryEmbeddings` which the provider was handed."""
    lacking = [name for name in NEEDED if not has(impl, name)]
    if lacking:
        raise ProviderRefused(
            f"{type(impl).__name__} has no {', '.join(lacking)}(), which an index of the server's rows needs: it is "
            "told of every chunk that is added and removed. Providers that serve whole vector stores themselves "
            "(openai_create_vector_store, openai_attach_file…) are not supported"
        )
    adapter = _Vectors(impl, context, vector)
    for name in (
        "create_index",
        "delete_index",
        "upsert_chunks",
        "delete_document",
        "set_attributes",
        "search_vectors",
    ):
        yield name, getattr(adapter, name)


class QueryEmbeddings:
    """Inference for such a provider: the vector of the query at work, under whatever name it asks for one."""

    def __init__(self, inference: Any, vector: ContextVar[list[bytes]]) -> None:
        self._inference = inference
        self._vector = vector

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inference, name)

    async def openai_embeddings(self, params: EmbeddingsRequest) -> EmbeddingsResponse:
        known = self._vector.get([])
        if not known:
            found: EmbeddingsResponse = await self._inference.openai_embeddings(params)
            return found
        (vector,) = known[:1]
        known.append(vector)  # a sign that it was asked for
        is_text = params.encoding_format == "base64"
        said = base64.b64encode(vector).decode() if is_text else list(_floats(vector))
        data = {"object": "embedding", "index": 0, "embedding": said}
        usage = {"prompt_tokens": 0, "total_tokens": 0}
        return EmbeddingsResponse.model_validate({"data": [data], "model": params.model, "usage": usage})


class _Vectors:
    """Implements `ports.vector_io.VectorIndex`."""

    def __init__(self, impl: Any, context: ProviderContext, vector: ContextVar[list[bytes]]) -> None:
        self._impl = impl
        self._vector = vector
        self._kv = context.kv
        self._provider_id = context.provider_id
        self._registered: set[str] = set()

    async def create_index(self, index: Index) -> None:
        """The provider is told of a store once in every process, as a server of version 0.7 told it at its start."""
        if index.id in self._registered:
            return
        store = VectorStore(
            identifier=index.id,
            provider_resource_id=index.id,
            provider_id=self._provider_id,
            embedding_model=EMBEDDED_BEFORE,
            embedding_dimension=index.dimension,
            vector_store_name=index.id,
        )
        await self._impl.register_vector_store(store)
        self._registered.add(index.id)

    async def delete_index(self, index: Index) -> None:
        await self.create_index(index)  # it cannot forget what it was not told of
        if has(self._impl, "unregister_vector_store"):
            await self._impl.unregister_vector_store(index.id)
        self._registered.discard(index.id)
        for key in [key async for key in self._kv.scan(f"{index.id}:")]:
            await self._kv.delete(key)

    async def upsert_chunks(self, index: Index, chunks: Sequence[IndexedChunk]) -> None:
        await self.create_index(index)
        request = InsertChunksRequest(vector_store_id=index.id, chunks=[_embedded(index, each) for each in chunks])
        if _takes_request(self._impl.insert_chunks):
            await self._impl.insert_chunks(request)
        else:
            await self._impl.insert_chunks(index.id, request.chunks)
        for document in {each.document for each in chunks}:
            mine = [each for each in chunks if each.document == document]
            known = await self._document(index, document)
            ids = list(dict.fromkeys([*known["chunks"], *(each.id for each in mine)]))
            await self._keep(index, document, ids, mine[-1].attributes)

    async def delete_document(self, index: Index, document: str) -> None:
        ids = (await self._document(index, document))["chunks"]
        if ids:
            await self.create_index(index)
            gone = [ChunkForDeletion(chunk_id=each, document_id=document) for each in ids]
            if _takes_request(self._impl.delete_chunks):
                await self._impl.delete_chunks(DeleteChunksRequest(vector_store_id=index.id, chunks=gone))
            else:
                await self._impl.delete_chunks(index.id, gone)
        await self._kv.delete(f"{index.id}:{document}")

    async def set_attributes(self, index: Index, document: str, attributes: Attributes) -> None:
        """Not told to the provider, which cannot change them: its hits are filtered by what is known here."""
        known = await self._document(index, document)
        if known["chunks"]:
            await self._keep(index, document, known["chunks"], attributes)

    async def search_vectors(self, index: Index, query: VectorQuery) -> list[Hit]:
        """More is asked for as long as the filter keeps too little and there may be more."""
        await self.create_index(index)
        wanted = query.limit
        while True:
            found = await self._query(index, query, wanted)
            hits = await self._kept(index, query, found)
            if len(hits) >= query.limit or len(found.chunks) < wanted or wanted >= CANDIDATES_MAX:
                return sorted(hits, key=lambda hit: (-hit.score, hit.id))[: query.limit]
            wanted = min(CANDIDATES_MAX, wanted * 4)

    async def _query(self, index: Index, query: VectorQuery, wanted: int) -> QueryChunksResponse:
        params: Any = {"mode": "vector", "max_chunks": wanted, "score_threshold": -math.inf}
        known = [query.vector]
        token = self._vector.set(known)
        try:
            if _takes_request(self._impl.query_chunks):
                request = QueryChunksRequest.model_construct(
                    vector_store_id=index.id, query=EMBEDDED_BEFORE, params=params
                )
                found = await self._impl.query_chunks(request)
            else:
                found = await self._impl.query_chunks(index.id, EMBEDDED_BEFORE, params)
        finally:
            self._vector.reset(token)
        if len(known) == 1:
            raise ProviderError(
                f"The vector_io provider '{self._provider_id}' searched without asking inference for the query's "
                "embedding. A provider that embeds queries itself, or searches by text, is not supported."
            )
        return QueryChunksResponse.model_validate(found, from_attributes=True)

    async def _kept(self, index: Index, query: VectorQuery, found: QueryChunksResponse) -> list[Hit]:
        hits: dict[str, Hit] = {}
        documents: dict[str, dict[str, Any]] = {}
        for chunk, score in zip(found.chunks, found.scores, strict=False):
            document = chunk.document_id or ""
            if document not in documents:
                documents[document] = await self._document(index, document)
            known = documents[document]
            if chunk.chunk_id in known["chunks"] and (
                query.filter is None or matches(query.filter, known["attributes"])
            ):
                similarity = _cosine(query.vector, chunk.embedding)
                hits[chunk.chunk_id] = Hit(chunk.chunk_id, max(-1.0, min(1.0, similarity or score)))
        return list(hits.values())

    async def _document(self, index: Index, document: str) -> dict[str, Any]:
        value = await self._kv.get(f"{index.id}:{document}")
        known: dict[str, Any] = {"chunks": [], "attributes": {}} if value is None else json.loads(value)
        return known

    async def _keep(self, index: Index, document: str, ids: Sequence[str], attributes: Attributes) -> None:
        value = json.dumps({"chunks": ids, "attributes": dict(attributes)}).encode()
        await self._kv.set(f"{index.id}:{document}", value)


def _embedded(index: Index, chunk: IndexedChunk) -> EmbeddedChunk:
    return EmbeddedChunk(
        content=chunk.words,
        chunk_id=chunk.id,
        metadata={**chunk.attributes, "document_id": chunk.document},
        chunk_metadata=ChunkMetadata(chunk_id=chunk.id, document_id=chunk.document),
        embedding=list(_floats(chunk.vector)),
        embedding_model=EMBEDDED_BEFORE,
        embedding_dimension=index.dimension,
    )


def _floats(vector: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(vector) // 4}f", vector)


def _cosine(vector: bytes, other: Sequence[float]) -> float | None:
    """None where the provider gave no embedding back, or one of nothing."""
    one = _floats(vector)
    if len(one) != len(other):
        return None
    size = math.sqrt(sum(map(mul, one, one)) * sum(map(mul, other, other)))
    return sum(map(mul, one, other)) / size if size else None


def _takes_request(method: Method) -> bool:
    """As from llama-stack-api 0.6 on; before, the parts of the request were arguments."""
    return len(inspect.signature(method).parameters) == 1
