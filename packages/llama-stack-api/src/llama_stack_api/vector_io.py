"""Vector stores: chunks with their embeddings, and OpenAI's stores of files over them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Protocol, Self, TypeAlias, runtime_checkable

from pydantic import Field, StringConstraints, model_validator

from llama_stack_api.base import Flag, Integer, Integer64, JsonObject, Metadata, Number, UnixTime, WireModel
from llama_stack_api.common.content_types import InterleavedContent
from llama_stack_api.filters import Filter
from llama_stack_api.openai.responses.tools import HybridSearch
from llama_stack_api.paging import Page
from llama_stack_api.vector_stores import VectorStore

Count: TypeAlias = Annotated[int, Field(ge=0, lt=2**31)]

EMBEDDING_DIMENSION_MAX = 2**16


class ChunkMetadata(WireModel):
    """What the server keeps about a chunk and the model never sees. Timestamps are Unix seconds.

    `chunk_window` is which characters of the document's text the chunk is, as `start-end`, `end` excluded.
    """

    chunk_id: str | None = None
    document_id: str | None = None
    source: str | None = None
    created_timestamp: int | None = None
    updated_timestamp: int | None = None
    chunk_window: str | None = None
    chunk_tokenizer: str | None = None
    content_token_count: Count | None = None
    metadata_token_count: int | None = None
    page: Count | None = Field(default=None, description="Of the document, counted from 1.")


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

    embedding: list[Number]
    embedding_model: str
    embedding_dimension: Integer


class InsertChunksRequest(WireModel):
    """A chunk with an id that is there already replaces it."""

    vector_store_id: str
    chunks: list[EmbeddedChunk] = Field(min_length=1)
    ttl_seconds: Integer | None = Field(default=None, description="Refused: chunks stay until they are deleted.")


class ChunkForDeletion(WireModel):
    chunk_id: str
    document_id: str


class DeleteChunksRequest(WireModel):
    vector_store_id: str
    chunks: list[ChunkForDeletion]


class QueryChunksParams(WireModel):
    """How to search; `reranker_type` and `reranker_params` are `ranker` and the rest of `SearchRankingOptions`."""

    mode: SearchMode | None = None
    max_chunks: Integer = Field(default=10, ge=1, le=50)
    score_threshold: Number | None = Field(default=None, ge=0, le=1)
    reranker_type: Ranker | None = None
    reranker_params: JsonObject | None = None
    filters: Filter | None = None


class QueryChunksRequest(WireModel):
    """Search for a text, which is embedded with the store's model."""

    vector_store_id: str
    query: InterleavedContent
    params: QueryChunksParams | None = None


class QueryChunksResponse(WireModel):
    """`scores[i]` is the relevance of `chunks[i]`, from 0 to 1; best first."""

    chunks: list[EmbeddedChunk]
    scores: list[float]


class VectorStoreChunkingStrategyAuto(WireModel):
    """Chunks of 800 tokens that share 400 with the next one, or fewer where the embedding model takes fewer."""

    type: Literal["auto"] = "auto"


class VectorStoreChunkingStrategyStaticConfig(WireModel):
    max_chunk_size_tokens: Integer = Field(default=800, ge=100, le=4096)
    chunk_overlap_tokens: Integer = Field(default=400, ge=0, description="At most half of `max_chunk_size_tokens`.")

    @model_validator(mode="after")
    def _overlap_is_at_most_half(self) -> Self:
        if self.chunk_overlap_tokens * 2 > self.max_chunk_size_tokens:
            raise ValueError("chunk_overlap_tokens must be at most half of max_chunk_size_tokens")
        return self


class VectorStoreChunkingStrategyStatic(WireModel):
    type: Literal["static"] = "static"
    static: VectorStoreChunkingStrategyStaticConfig


class VectorStoreChunkingStrategyContextualConfig(WireModel):
    """A model writes a line for each chunk that places it in its document; it is embedded and searched with the chunk.

    `context_prompt` has `{WHOLE_DOCUMENT}` and `{CHUNK_CONTENT}`. What is absent is as the run config has it.
    """

    model_id: str | None = None
    context_prompt: str | None = None
    max_chunk_size_tokens: Integer = Field(default=700, ge=100, le=4096)
    chunk_overlap_tokens: Integer = Field(default=400, ge=0)
    timeout_seconds: Integer | None = Field(default=None, ge=1)
    max_concurrency: Integer | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _overlap_is_smaller(self) -> Self:
        if self.chunk_overlap_tokens >= self.max_chunk_size_tokens:
            raise ValueError("chunk_overlap_tokens must be smaller than max_chunk_size_tokens")
        return self


class VectorStoreChunkingStrategyContextual(WireModel):
    """Of Llama Stack, not of OpenAI."""

    type: Literal["contextual"] = "contextual"
    contextual: VectorStoreChunkingStrategyContextualConfig = Field(
        default_factory=VectorStoreChunkingStrategyContextualConfig
    )


class VectorStoreChunkingStrategyOther(WireModel):
    """Of a file that came without a chunking strategy."""

    type: Literal["other"] = "other"


VectorStoreChunkingStrategy: TypeAlias = Annotated[
    VectorStoreChunkingStrategyAuto | VectorStoreChunkingStrategyStatic | VectorStoreChunkingStrategyContextual,
    Field(discriminator="type"),
]

VectorStoreFileChunking: TypeAlias = Annotated[
    VectorStoreChunkingStrategyStatic | VectorStoreChunkingStrategyContextual | VectorStoreChunkingStrategyOther,
    Field(discriminator="type"),
]
"""How a file was cut: `auto` is shown as what it came to."""

VectorStoreFileStatus: TypeAlias = Literal["completed", "in_progress", "cancelled", "failed"]

VectorStoreFileAttributes: TypeAlias = Annotated[
    dict[
        Annotated[str, StringConstraints(max_length=64)],
        Annotated[
            Annotated[str, StringConstraints(max_length=512)] | Flag | Integer64 | Number,
            Field(union_mode="left_to_right"),
        ],
    ],
    Field(max_length=16, description="Up to 16 pairs; keys of up to 64 and text of up to 512 characters."),
]

SearchMode: TypeAlias = Literal["vector", "keyword", "hybrid"]

Ranker: TypeAlias = Literal["none", "auto", "default-2024-11-15", "rrf", "weighted", "normalized", "neural"]

FILES_IN_A_BATCH_MAX = 2000
"""And at the creation of a store."""


class VectorStoreExpirationAfter(WireModel):
    anchor: Literal["last_active_at"] = "last_active_at"
    days: Integer = Field(ge=1, le=365)


class VectorStoreFileCounts(WireModel):
    completed: int
    cancelled: int
    failed: int
    in_progress: int
    total: int


class VectorStoreObject(WireModel):
    """`name` is empty where none was given; `usage_bytes` is what chunks and their embeddings take."""

    nulls_sent: ClassVar[frozenset[str]] = frozenset({"expires_at", "last_active_at", "metadata"})

    id: str
    object: Literal["vector_store"] = "vector_store"
    created_at: UnixTime
    name: str = ""
    description: str | None = None
    usage_bytes: int = 0
    file_counts: VectorStoreFileCounts
    status: Literal["expired", "in_progress", "completed"] = "completed"
    expires_after: VectorStoreExpirationAfter | None = None
    expires_at: UnixTime | None = None
    last_active_at: UnixTime | None = None
    metadata: Metadata | None = None


class VectorStoreListResponse(Page[VectorStoreObject]):
    pass


class VectorStoreDeleteResponse(WireModel):
    id: str
    object: Literal["vector_store.deleted"] = "vector_store.deleted"
    deleted: bool = True


class SearchRankingOptions(WireModel):
    """`rrf`, `weighted` and `normalized` say how the rankings of a hybrid search become one; `neural` asks `model`.

    Beyond OpenAI: `alpha` is the share of vectors in the score (the rest is that of keywords), `weights` says it by
    name (`vector`, `keyword`, `neural`), `impact_factor` is rrf's constant.
    """

    ranker: Ranker | None = Field(default="auto")
    score_threshold: Number | None = Field(default=0.0, ge=0, le=1)
    hybrid_search: HybridSearch | None = None
    alpha: Number | None = Field(default=None, ge=0, le=1)
    impact_factor: Number | None = Field(default=None, gt=0)
    weights: dict[Literal["vector", "keyword", "neural"], Annotated[Number, Field(ge=0)]] | None = None
    model: str | None = Field(default=None, description="The rerank model of `neural`.")


class VectorStoreContent(WireModel):
    type: Literal["text"] = "text"
    text: str
    embedding: list[float] | None = None
    chunk_metadata: ChunkMetadata | None = None
    metadata: JsonObject | None = None


class VectorStoreSearchResponse(WireModel):
    """A chunk that was found; several may be of one file. `score` is from 0 to 1."""

    nulls_sent: ClassVar[frozenset[str]] = frozenset({"attributes"})

    file_id: str
    filename: str
    score: float
    attributes: VectorStoreFileAttributes | None = None
    content: list[VectorStoreContent]


class VectorStoreSearchResponsePage(WireModel):
    """`search_query` is what was searched for: the queries, or what they were rewritten to."""

    nulls_sent: ClassVar[frozenset[str]] = frozenset({"next_page"})

    object: Literal["vector_store.search_results.page"] = "vector_store.search_results.page"
    search_query: list[str]
    data: list[VectorStoreSearchResponse]
    has_more: bool = False
    next_page: str | None = None


class VectorStoreFileLastError(WireModel):
    code: Literal["server_error", "unsupported_file", "invalid_file", "rate_limit_exceeded"]
    message: str


class VectorStoreFileObject(WireModel):
    nulls_sent: ClassVar[frozenset[str]] = frozenset({"last_error"})

    id: str
    object: Literal["vector_store.file"] = "vector_store.file"
    attributes: VectorStoreFileAttributes | None = Field(default_factory=dict)
    chunking_strategy: VectorStoreFileChunking
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
    """`next_page` is the `page` of the next request."""

    nulls_sent: ClassVar[frozenset[str]] = frozenset({"next_page"})

    object: Literal["vector_store.file_content.page"] = "vector_store.file_content.page"
    data: list[VectorStoreContent]
    has_more: bool = False
    next_page: str | None = None


class VectorStoreFileBatchObject(WireModel):
    id: str
    object: Literal["vector_store.files_batch"] = "vector_store.files_batch"
    created_at: UnixTime
    vector_store_id: str
    status: VectorStoreFileStatus
    file_counts: VectorStoreFileCounts


class OpenAICreateVectorStoreRequestWithExtraBody(WireModel):
    """Beyond OpenAI: `embedding_model`, `embedding_dimension` and `provider_id`, which `metadata` may name too."""

    name: Annotated[str, StringConstraints(max_length=512)] | None = None
    description: Annotated[str, StringConstraints(max_length=4096)] | None = None
    file_ids: list[str] | None = Field(default=None, max_length=FILES_IN_A_BATCH_MAX)
    expires_after: VectorStoreExpirationAfter | None = None
    chunking_strategy: VectorStoreChunkingStrategy | None = None
    metadata: Metadata | None = None
    embedding_model: str | None = None
    embedding_dimension: Integer | None = Field(default=None, ge=1, le=EMBEDDING_DIMENSION_MAX)
    provider_id: str | None = None


class OpenAIUpdateVectorStoreRequest(WireModel):
    """What is absent stays; null takes away."""

    name: Annotated[str, StringConstraints(max_length=512)] | None = None
    expires_after: VectorStoreExpirationAfter | None = None
    metadata: Metadata | None = None


class OpenAISearchVectorStoreRequest(WireModel):
    """Several queries are searched one by one, and a chunk counts by its best. Beyond OpenAI: `search_mode`."""

    query: str | Annotated[list[str], Field(min_length=1)]
    filters: Filter | None = None
    max_num_results: Integer | None = Field(default=10, ge=1, le=50)
    ranking_options: SearchRankingOptions | None = None
    rewrite_query: Flag | None = False
    search_mode: SearchMode | None = Field(default=None, description="As the run config has it where absent.")


class OpenAIAttachFileRequest(WireModel):
    file_id: str
    attributes: VectorStoreFileAttributes | None = None
    chunking_strategy: VectorStoreChunkingStrategy | None = None


class OpenAIUpdateVectorStoreFileRequest(WireModel):
    """All attributes: those that are not here are taken away."""

    attributes: VectorStoreFileAttributes | None


class OpenAICreateVectorStoreFileBatchRequestWithExtraBody(WireModel):
    """Either `file_ids`, to all of which `attributes` and `chunking_strategy` apply, or `files`, each with its own."""

    file_ids: list[str] | None = Field(default=None, min_length=1, max_length=FILES_IN_A_BATCH_MAX)
    files: list[OpenAIAttachFileRequest] | None = Field(default=None, min_length=1, max_length=FILES_IN_A_BATCH_MAX)
    attributes: VectorStoreFileAttributes | None = None
    chunking_strategy: VectorStoreChunkingStrategy | None = None

    @model_validator(mode="after")
    def _files_are_named_once(self) -> Self:
        if (self.file_ids is None) == (self.files is None):
            raise ValueError("give either file_ids or files")
        if self.files is not None and (self.attributes is not None or self.chunking_strategy is not None):
            raise ValueError("with files, attributes and chunking_strategy belong to each file")
        return self


class VectorStoreTable(Protocol):
    def get_vector_store(self, vector_store_id: str) -> VectorStore | None: ...


@runtime_checkable
class VectorIO(Protocol):
    """A vector provider as version 0.7 knew it."""

    async def insert_chunks(self, request: InsertChunksRequest) -> None: ...

    async def query_chunks(self, request: QueryChunksRequest) -> QueryChunksResponse: ...
