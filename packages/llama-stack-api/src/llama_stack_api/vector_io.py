"""Vector stores: chunks with their embeddings, and OpenAI's stores of files over them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol, TypeAlias, runtime_checkable

from pydantic import Field, StringConstraints

from llama_stack_api.base import JsonObject, UnixTime, WireModel
from llama_stack_api.common.content_types import InterleavedContent
from llama_stack_api.paging import Page
from llama_stack_api.vector_stores import VectorStore


class ChunkMetadata(WireModel):
    """What the server keeps about a chunk and the model never sees. Timestamps are Unix seconds."""

    chunk_id: str | None = None
    document_id: str | None = None
    source: str | None = None
    created_timestamp: int | None = None
    updated_timestamp: int | None = None
    chunk_window: str | None = None
    chunk_tokenizer: str | None = None
    content_token_count: int | None = None
    metadata_token_count: int | None = None


class Chunk(WireModel):
    """A piece of a document. `metadata` may be shown to the model."""

    content: InterleavedContent
    chunk_id: str
    metadata: JsonObject = Field(default_factory=dict)
    chunk_metadata: ChunkMetadata = Field(default_factory=ChunkMetadata)

    @property
    def document_id(self) -> str | None:
        named = self.metadata.get("document_id")
        return named if isinstance(named, str) else self.chunk_metadata.document_id


class EmbeddedChunk(Chunk):
    """`embedding` has `embedding_dimension` elements."""

    embedding: list[float]
    embedding_model: str
    embedding_dimension: int


class InsertChunksRequest(WireModel):
    vector_store_id: str
    chunks: list[EmbeddedChunk]
    ttl_seconds: int | None = None


class QueryChunksRequest(WireModel):
    """`params`: `mode` (vector, keyword, hybrid), `max_chunks`, `score_threshold`, `filters`, …"""

    vector_store_id: str
    query: InterleavedContent
    params: JsonObject | None = None


class QueryChunksResponse(WireModel):
    """`scores[i]` is the relevance of `chunks[i]`; best first."""

    chunks: list[EmbeddedChunk]
    scores: list[float]


class VectorStoreChunkingStrategyAuto(WireModel):
    type: Literal["auto"] = "auto"


class VectorStoreChunkingStrategyStaticConfig(WireModel):
    max_chunk_size_tokens: int = Field(default=800, ge=100, le=4096)
    chunk_overlap_tokens: int = Field(default=400, ge=0)


class VectorStoreChunkingStrategyStatic(WireModel):
    type: Literal["static"] = "static"
    static: VectorStoreChunkingStrategyStaticConfig


VectorStoreChunkingStrategy: TypeAlias = Annotated[
    VectorStoreChunkingStrategyAuto | VectorStoreChunkingStrategyStatic, Field(discriminator="type")
]

VectorStoreFileStatus: TypeAlias = Literal["completed", "in_progress", "cancelled", "failed"]

VectorStoreFileAttributes: TypeAlias = Annotated[
    dict[
        Annotated[str, StringConstraints(max_length=64)],
        Annotated[str, StringConstraints(max_length=512)] | bool | float,
    ],
    Field(max_length=16, description="Up to 16 pairs; keys of up to 64 and text of up to 512 characters."),
]


class VectorStoreFileCounts(WireModel):
    completed: int
    cancelled: int
    failed: int
    in_progress: int
    total: int


class VectorStoreObject(WireModel):
    id: str
    object: Literal["vector_store"] = "vector_store"
    created_at: UnixTime
    name: str | None = None
    usage_bytes: int = 0
    file_counts: VectorStoreFileCounts
    status: Literal["expired", "in_progress", "completed"] = "completed"
    expires_after: JsonObject | None = None
    expires_at: UnixTime | None = None
    last_active_at: UnixTime | None = None
    metadata: JsonObject = Field(default_factory=dict)


class VectorStoreListResponse(Page[VectorStoreObject]):
    pass


class VectorStoreDeleteResponse(WireModel):
    id: str
    object: Literal["vector_store.deleted"] = "vector_store.deleted"
    deleted: bool = True


class SearchRankingOptions(WireModel):
    ranker: str | None = None
    score_threshold: float | None = 0.0
    alpha: float | None = None
    impact_factor: float | None = None
    weights: dict[str, float] | None = None
    model: str | None = None


class VectorStoreContent(WireModel):
    type: Literal["text"] = "text"
    text: str
    embedding: list[float] | None = None
    chunk_metadata: ChunkMetadata | None = None
    metadata: JsonObject | None = None


class VectorStoreSearchResponse(WireModel):
    file_id: str
    filename: str
    score: float
    attributes: VectorStoreFileAttributes | None = None
    content: list[VectorStoreContent]


class VectorStoreSearchResponsePage(WireModel):
    object: Literal["vector_store.search_results.page"] = "vector_store.search_results.page"
    search_query: list[str]
    data: list[VectorStoreSearchResponse]
    has_more: bool = False
    next_page: str | None = None


class VectorStoreFileLastError(WireModel):
    code: Literal["server_error", "unsupported_file", "invalid_file", "rate_limit_exceeded"]
    message: str


class VectorStoreFileObject(WireModel):
    id: str
    object: Literal["vector_store.file"] = "vector_store.file"
    attributes: VectorStoreFileAttributes = Field(default_factory=dict)
    chunking_strategy: VectorStoreChunkingStrategy
    created_at: UnixTime
    last_error: VectorStoreFileLastError | None = None
    status: VectorStoreFileStatus
    usage_bytes: int = 0
    vector_store_id: str


class VectorStoreListFilesResponse(Page[VectorStoreFileObject]):
    pass


class VectorStoreFilesListInBatchResponse(Page[VectorStoreFileObject]):
    pass


class VectorStoreFileDeleteResponse(WireModel):
    id: str
    object: Literal["vector_store.file.deleted"] = "vector_store.file.deleted"
    deleted: bool = True


class VectorStoreFileContentResponse(WireModel):
    object: Literal["vector_store.file_content.page"] = "vector_store.file_content.page"
    data: list[VectorStoreContent]
    has_more: bool = False
    next_page: str | None = None


class VectorStoreFileBatchObject(WireModel):
    id: str
    object: Literal["vector_store.file_batch"] = "vector_store.file_batch"
    created_at: UnixTime
    vector_store_id: str
    status: VectorStoreFileStatus
    file_counts: VectorStoreFileCounts


class OpenAICreateVectorStoreRequestWithExtraBody(WireModel):
    """Extras: `embedding_model`, `embedding_dimension`, `provider_id`."""

    name: str | None = None
    file_ids: list[str] | None = None
    expires_after: JsonObject | None = None
    chunking_strategy: VectorStoreChunkingStrategy | None = None
    metadata: JsonObject | None = None


class OpenAIUpdateVectorStoreRequest(WireModel):
    name: str | None = None
    expires_after: JsonObject | None = None
    metadata: JsonObject | None = None


class OpenAISearchVectorStoreRequest(WireModel):
    """`filters` is a `llama_stack_api.filters.Filter`."""

    query: str | list[str]
    filters: JsonObject | None = None
    max_num_results: int | None = Field(default=10, ge=1, le=50)
    ranking_options: SearchRankingOptions | None = None
    rewrite_query: bool | None = False
    search_mode: str | None = "vector"


class OpenAIAttachFileRequest(WireModel):
    file_id: str
    attributes: VectorStoreFileAttributes | None = None
    chunking_strategy: VectorStoreChunkingStrategy | None = None


class OpenAIUpdateVectorStoreFileRequest(WireModel):
    attributes: VectorStoreFileAttributes


class OpenAICreateVectorStoreFileBatchRequestWithExtraBody(WireModel):
    file_ids: list[str]
    attributes: VectorStoreFileAttributes | None = None
    chunking_strategy: VectorStoreChunkingStrategy | None = None


class VectorStoreTable(Protocol):
    def get_vector_store(self, vector_store_id: str) -> VectorStore | None: ...


@runtime_checkable
class VectorIO(Protocol):
    """A vector provider as version 0.7 knew it. `params` as in `QueryChunksRequest`."""

    async def insert_chunks(
        self, vector_store_id: str, chunks: list[EmbeddedChunk], ttl_seconds: int | None = None
    ) -> None: ...

    async def query_chunks(
        self, vector_store_id: str, query: InterleavedContent, params: dict[str, Any] | None = None
    ) -> QueryChunksResponse: ...
