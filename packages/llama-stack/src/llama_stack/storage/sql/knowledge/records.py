"""What is known of vector stores, the files attached to them, and their chunks. Times are Unix seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias, TypeVar

T = TypeVar("T")

StoreState: TypeAlias = Literal["live", "expired", "deleted"]
FileStatus: TypeAlias = Literal["in_progress", "completed", "failed", "cancelled"]
AttributeValues: TypeAlias = dict[str, str | float | bool]


@dataclass(frozen=True, slots=True)
class FileCounts:
    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        return self.in_progress + self.completed + self.failed + self.cancelled


@dataclass(frozen=True, slots=True)
class NewStore:
    """`index_id` is what the vector_io provider calls it, no two stores have the same one; None: made of the store's
    id. `id` None: a new one."""

    name: str | None
    provider: str
    embedding_model: str
    embedding_dimension: int
    description: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    expires_after_days: int | None = None
    index_id: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class StoreRecord:
    """`version` grows with every change of its chunks. `usage_bytes` is the sum of its files'."""

    id: str
    tenant: str
    owner: str
    created_at: float
    name: str | None
    description: str | None
    metadata: dict[str, str]
    expires_after_days: int | None
    last_active_at: float
    expires_at: float | None
    state: StoreState
    provider: str
    index_id: str
    embedding_model: str
    embedding_dimension: int
    version: int
    counts: FileCounts
    usage_bytes: int


@dataclass(frozen=True, slots=True)
class Attachment:
    """One attaching of a file to a store. `id` is unguessable, and new whenever the file is attached anew."""

    file: str
    id: str


@dataclass(frozen=True, slots=True)
class NewAttachment:
    """`chunking` is the strategy as it will be carried out."""

    file: str
    filename: str
    attributes: AttributeValues = field(default_factory=dict)
    chunking: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """`run` is the run that ingests it, None before there is one; `chunks_done` of its chunks are stored."""

    store: str
    file: str
    attached_at: float
    attachment: str
    filename: str
    status: FileStatus
    error_code: str | None
    error_message: str | None
    attributes: AttributeValues
    chunking: dict[str, Any]
    usage_bytes: int
    chunks_done: int
    run: str | None


@dataclass(frozen=True, slots=True)
class FileBatch:
    """`counts` are of those of its files that are attached still."""

    id: str
    store: str
    created_at: float
    cancelled: bool
    counts: FileCounts


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """`id` is a UUID; `start` and `end` are characters of the document's text; `context` stands before `text` where it
    is embedded and searched. `extra` is what came with a chunk that a client made. `digest` is of tenant, embedding
    model, dimension and embedded text; `embedding` is little-endian floats of 32 bits."""

    id: str
    document: str
    ordinal: int
    text: str
    context: str | None
    start: int
    end: int
    page: int | None
    tokens: int
    attributes: AttributeValues
    extra: dict[str, Any] | None
    digest: str
    embedding: bytes | None


@dataclass(frozen=True, slots=True)
class FoundChunk:
    """The row of a hit, without its embedding. `filename` is None where the document is no attached file."""

    chunk: ChunkRecord
    filename: str | None


@dataclass(frozen=True, slots=True)
class PendingChange:
    """A change of a document that the provider has not confirmed. `attributes` None: its chunks are gone."""

    store: str
    index_id: str
    embedding_dimension: int
    provider: str
    version: int
    document: str
    attributes: AttributeValues | None
    at: float


@dataclass(frozen=True, slots=True)
class PageOf(Generic[T]):
    items: Sequence[T]
    has_more: bool
