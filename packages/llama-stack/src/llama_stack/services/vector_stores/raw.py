"""Chunks that a client made itself: inserted with their embeddings, and found again as they were."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from pydantic import ValidationError

from llama_stack.config.vector_stores import VectorStoreLimits
from llama_stack.rag.ports import InsertMetrics
from llama_stack.rag.search import Found
from llama_stack.rag.tokens import count_tokens
from llama_stack.rag.vectors import packed, unpacked
from llama_stack.rag.words import indexed_words
from llama_stack.services.vector_stores.access import StoreAccess
from llama_stack.services.vector_stores.content import chunk_metadata
from llama_stack.services.vector_stores.providers import VectorProviders
from llama_stack.services.vector_stores.search import StoreSearch
from llama_stack.storage.sql.knowledge.chunks import ChunkTable
from llama_stack.storage.sql.knowledge.records import ChunkRecord, StoreRecord
from llama_stack_api.common.content_types import InterleavedContent, TextContentItem
from llama_stack_api.errors import InvalidRequest, UnsupportedParameter
from llama_stack_api.ports.vector_io import Index, IndexedChunk
from llama_stack_api.principal import Call
from llama_stack_api.vector_io import (
    ChunkMetadata,
    EmbeddedChunk,
    InsertChunksRequest,
    QueryChunksParams,
    QueryChunksRequest,
    QueryChunksResponse,
    SearchRankingOptions,
)

SLICE: Final = 64
"""Chunks that are indexed and stored at once."""
ID_CHARS_MAX: Final = 512
"""Ids are keys of database indexes."""
NAMESPACE: Final = uuid.UUID("5f0d7c1e-3f0a-4c7b-9a54-0c8f6f2d9b11")


class RawChunks:
    """They are rows like all others: searched together with those of files, filtered by the strings, numbers and
    booleans of their metadata. All chunks of one `document_id` are one document."""

    def __init__(
        self,
        access: StoreAccess,
        chunks: ChunkTable,
        providers: VectorProviders,
        search: StoreSearch,
        limits: VectorStoreLimits,
        metrics: InsertMetrics,
    ) -> None:
        self._access = access
        self._chunks = chunks
        self._providers = providers
        self._search = search
        self._limits = limits
        self._metrics = metrics

    async def insert(self, request: InsertChunksRequest, call: Call) -> None:
        """A chunk whose id is there already in the store takes its place."""
        if request.ttl_seconds is not None:
            raise UnsupportedParameter(
                "Chunks do not expire one by one; give the vector store an expires_after.", param="ttl_seconds"
            )
        owner = self._access.writer(call.principal, request.vector_store_id)
        store = await self._access.live(owner, request.vector_store_id)
        rows = self._rows(store, request.chunks)
        for start in range(0, len(rows), SLICE):
            await self._insert(store, rows[start : start + SLICE])

    async def query(self, request: QueryChunksRequest, call: Call) -> QueryChunksResponse:
        params = request.params or QueryChunksParams()
        wanted = self._search.wanted(
            _text(request.query, "query"),
            filter_=params.filters,
            results_max=params.max_chunks,
            ranking=_ranking(params),
            mode=params.mode,
        )
        store = await self._search.store(request.vector_store_id, call)
        (found,) = await self._search.found([store], wanted, call)
        embeddings = await self._chunks.known_embeddings({each.row.chunk.digest for each in found})
        return QueryChunksResponse(
            chunks=[_shown(each, store, embeddings) for each in found], scores=[each.score for each in found]
        )

    async def _insert(self, store: StoreRecord, rows: Sequence[ChunkRecord]) -> None:
        started = time.perf_counter()
        provider = self._providers.index_of(store.provider)
        words = [indexed_words(row.text) for row in rows]
        indexed = [
            IndexedChunk(row.id, row.document, row.embedding or b"", said, row.attributes)
            for row, said in zip(rows, words, strict=True)
        ]
        await provider.upsert_chunks(Index(store.index_id, store.embedding_dimension), indexed)
        own_words = self._providers.indexes_words(store.provider)
        await self._chunks.add(store.id, rows, attachment=None, words=None if own_words else words)
        self._metrics.inserted(store.provider, len(rows), time.perf_counter() - started)

    def _rows(self, store: StoreRecord, chunks: Sequence[EmbeddedChunk]) -> list[ChunkRecord]:
        if len(chunks) > self._limits.raw_chunks_max:
            raise InvalidRequest(
                f"At most {self._limits.raw_chunks_max} chunks at once; vector_stores.limits.raw_chunks_max raises the "
                "limit.",
                param="chunks",
            )
        by_id = {chunk.chunk_id: self._row(store, chunk, number) for number, chunk in enumerate(chunks)}
        return list(by_id.values())  # of those with the same id, the last

    def _row(self, store: StoreRecord, chunk: EmbeddedChunk, number: int) -> ChunkRecord:
        where = f"chunks[{number}]"
        text = _text(chunk.content, f"{where}.content")
        extra = {
            "chunk_id": chunk.chunk_id,
            "metadata": chunk.metadata,
            "chunk_metadata": chunk.chunk_metadata.model_dump(mode="json", exclude_unset=True),
        }
        if len(text) > self._limits.chunk_chars_max or len(msgspec.json.encode(extra)) > self._limits.chunk_chars_max:
            raise InvalidRequest(
                f"A chunk and its metadata have at most {self._limits.chunk_chars_max} characters each; "
                "vector_stores.limits.chunk_chars_max raises the limit.",
                param=where,
            )
        size = store.embedding_dimension
        if len(chunk.embedding) != size:
            raise InvalidRequest(
                f"The embedding has {len(chunk.embedding)} dimensions; those of this vector store have {size}.",
                param=f"{where}.embedding",
            )
        document = chunk.document_id or chunk.chunk_id
        if max(len(document), len(chunk.chunk_id)) > ID_CHARS_MAX:
            raise InvalidRequest(
                f"Ids of chunks and documents have at most {ID_CHARS_MAX} characters.", param=f"{where}.chunk_id"
            )
        window = _window(chunk.chunk_metadata.chunk_window)
        return ChunkRecord(
            id=row_id(store.id, chunk.chunk_id),
            document=document,
            ordinal=number,
            text=text,
            context=None,
            start=window[0],
            end=window[1] or window[0] + len(text),
            page=chunk.chunk_metadata.page,
            tokens=chunk.chunk_metadata.content_token_count or count_tokens(text),
            attributes=_attributes(chunk.metadata, where),
            extra=extra,
            digest=f"raw:{uuid.uuid4().hex}",  # nobody else is to take a client's word for an embedding
            embedding=_packed(chunk.embedding, f"{where}.embedding"),
        )


def _ranking(params: QueryChunksParams) -> SearchRankingOptions:
    said = {
        **(params.reranker_params or {}),
        "ranker": params.reranker_type or "auto",
        "score_threshold": params.score_threshold,
    }
    try:
        return SearchRankingOptions.model_validate(said)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidRequest(f"{place}: {first['msg']}.", param=f"params.reranker_params.{place}") from None


def _attributes(metadata: Mapping[str, Any], where: str) -> dict[str, str | float | bool]:
    """What of it can be compared. Whole numbers beyond 64 bits are floats, or else `InvalidRequest`."""
    found: dict[str, str | float | bool] = {}
    for key, value in metadata.items():
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            try:
                found[key] = float(value)
            except OverflowError:
                raise InvalidRequest("The number is beyond all floats.", param=f"{where}.metadata.{key[:64]}") from None
        elif isinstance(value, str | int | float):
            found[key] = value
    return found


def row_id(store_id: str, chunk_id: str) -> str:
    """A UUID for any id of a client, the same each time."""
    return str(uuid.uuid5(NAMESPACE, f"{store_id}:{chunk_id}"))


def _shown(found: Found, store: StoreRecord, embeddings: Mapping[str, bytes]) -> EmbeddedChunk:
    chunk, given = found.row.chunk, found.row.chunk.extra or {}
    filename = found.row.filename
    named = {} if filename is None else {"filename": filename, "file_id": chunk.document, "document_id": chunk.document}
    about = given.get("chunk_metadata")
    return EmbeddedChunk(
        content=chunk.text,
        chunk_id=given.get("chunk_id", chunk.id),
        metadata=given.get("metadata", {**chunk.attributes, **named}),
        chunk_metadata=chunk_metadata(chunk, filename) if about is None else ChunkMetadata.model_validate(about),
        embedding=unpacked(embeddings.get(chunk.digest, b"")),
        embedding_model=store.embedding_model,
        embedding_dimension=store.embedding_dimension,
    )


def _text(content: InterleavedContent, param: str) -> str:
    parts: list[Any] = content if isinstance(content, list) else [content]
    texts = [part.text if isinstance(part, TextContentItem) else part for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise InvalidRequest("Only text can be kept and searched here, not images.", param=param)
    return "\n".join(texts)


def _window(said: str | None) -> tuple[int, int]:
    """`start-end`, where a client says it so."""
    start, _, end = (said or "").partition("-")
    if start.isdecimal() and end.isdecimal() and len(start) < 16 and len(end) < 16 and int(start) <= int(end):
        return int(start), int(end)
    return 0, 0


def _packed(embedding: Sequence[float], param: str) -> bytes:
    try:
        return packed(embedding)
    except ValueError:
        raise InvalidRequest("The embedding has a number beyond floats of 32 bits.", param=param) from None
