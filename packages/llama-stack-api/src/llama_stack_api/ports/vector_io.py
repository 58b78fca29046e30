"""What a vector store provider can do: keep vectors under an id, find the nearest, within a filter.

The server's SQL store holds what is true: chunks with their text, spans, attributes and embeddings, and a version that
every change raises. A provider is an index over them. It is told of every change, may be told twice, and can be built
again from the rows. It says nothing of owners: an index belongs to one vector store, whose owner was checked before.

Vectors are `bytes`: `dimension` little-endian IEEE 754 floats of 32 bits each. Providers retry nothing and raise from
`llama_stack_api.errors`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, runtime_checkable

from llama_stack_api.filters import Filter

Attributes: TypeAlias = Mapping[str, str | float | bool]
"""Of a chunk: those of its file. `llama_stack_api.filters.matches` says what a filter over them means."""


@dataclass(frozen=True, slots=True)
class Index:
    """Where the chunks of one vector store are. `id` names it at the provider: letters, digits and underscores."""

    id: str
    dimension: int


@dataclass(frozen=True, slots=True)
class IndexedChunk:
    """`id` is a UUID in its usual form. `words` is the text as `KeywordQuery` knows it: normalised words with single
    spaces between them; every provider splits at the spaces and does nothing else."""

    id: str
    document: str
    vector: bytes
    words: str
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VectorQuery:
    """The `limit` chunks whose vectors are nearest by cosine, among those that match `filter`.

    `version` is the store's at the time of the query. A provider that is built from rows (`FollowsRows`) answers from
    that version or a later one; the others were told of every change before it was counted.
    """

    vector: bytes
    limit: int
    filter: Filter | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class KeywordQuery:
    """The `limit` best chunks that have at least one of `words` (at least one word, each once), among those that match
    `filter`."""

    words: tuple[str, ...]
    limit: int
    filter: Filter | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found. `score` of a vector search: the cosine similarity, from -1 to 1; of a keyword search: the
    provider's own relevance, above 0, comparable within one search."""

    id: str
    score: float


@runtime_checkable
class VectorIndex(Protocol):
    """Every vector_io provider. An index that does not exist has nothing in it: searches find nothing, deletions do
    nothing."""

    async def create_index(self, index: Index) -> None:
        """Make room for an index; nothing where it exists already."""
        ...

    async def delete_index(self, index: Index) -> None: ...

    async def upsert_chunks(self, index: Index, chunks: Sequence[IndexedChunk]) -> None:
        """All are found by searches that begin afterwards. A chunk that is there already, by its id, is replaced."""
        ...

    async def delete_document(self, index: Index, document: str) -> None:
        """All its chunks; none is found by searches that begin afterwards."""
        ...

    async def set_attributes(self, index: Index, document: str, attributes: Attributes) -> None:
        """Of all its chunks, in place of those that they have."""
        ...

    async def search_vectors(self, index: Index, query: VectorQuery) -> list[Hit]:
        """The nearest first; those equally near in the order of their ids. Filters hold within the search: a filter
        that keeps `limit` chunks or more gives `limit` hits."""
        ...


@runtime_checkable
class KeywordIndex(Protocol):
    """A provider with a full-text search of its own. Without it the server searches its rows by SQL."""

    async def search_keywords(self, index: Index, query: KeywordQuery) -> list[Hit]:
        """The best first."""
        ...


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """A chunk as the rows have it. `number` grows with every chunk that is written and is never used twice."""

    number: int
    id: str
    document: str
    vector: bytes
    attributes: Attributes
    version: int


@dataclass(frozen=True, slots=True)
class RowChange:
    """What happened to a document at `version`: its chunks so far are gone, or have other `attributes` (not None)."""

    version: int
    document: str
    attributes: Attributes | None


@dataclass(frozen=True, slots=True)
class RowDelta:
    """What turned the rows of `since` into those of `version`: first `changes`, in their order, then `chunks`.

    `changes` None: too long ago to tell; the index must be built anew from all chunks, which `chunks` then gives.
    A chunk of a version in between that a later change removed is not among `chunks`.
    """

    version: int
    changes: Sequence[RowChange] | None
    chunks: AsyncIterator[Sequence[ChunkRow]]


class ChunkRows(Protocol):
    """The rows of the server's own store, for providers whose index is a cache of them."""

    async def since(self, index: Index, version: int) -> RowDelta:
        """What happened after `version` (0: everything)."""
        ...


@runtime_checkable
class FollowsRows(Protocol):
    """A provider whose index is a cache of the server's rows, brought up to a query's `version` by each search.

    It is never asked to change one: `upsert_chunks`, `delete_document` and `set_attributes` may return at once.
    """

    def follow(self, rows: ChunkRows) -> None:
        """Called once, before anything else is asked."""
        ...


VECTOR_IO_PORTS: tuple[type, ...] = (VectorIndex,)
