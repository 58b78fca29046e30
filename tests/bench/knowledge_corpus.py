"""Chunks for benchmarks of search: clustered vectors, attributes by which filters keep known shares, rows in SQL."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from llama_stack.storage.sql.knowledge.chunks import ChunkTable
from llama_stack.storage.sql.knowledge.records import ChunkRecord, NewStore, StoreRecord
from llama_stack.storage.sql.knowledge.stores import VectorStoreTable
from llama_stack_api.filters import Filter
from llama_stack_api.principal import Principal

DIMENSION = 384
CHUNKS_PER_DOCUMENT = 10
TOPICS = 300
BATCH = 500

_FILTER: TypeAdapter[Filter] = TypeAdapter(Filter)
FILTERS: dict[str, Filter | None] = {
    "none": None,
    "50 %": _FILTER.validate_python({"type": "lt", "key": "thousandth", "value": 500}),
    "1 %": _FILTER.validate_python({"type": "lt", "key": "thousandth", "value": 10}),
    "0.1 %": _FILTER.validate_python({"type": "eq", "key": "thousandth", "value": 7}),
}
"""By the share of chunks that they keep (in a corpus of less than 10,000 chunks only nearly)."""


@dataclass(frozen=True)
class Corpus:
    """`vectors` of length 1, a document having its chunks in one topic; `thousandth` of each document is its number
    modulo 1000."""

    vectors: NDArray[np.float32]
    queries: NDArray[np.float32]

    @classmethod
    def of(cls, count: int, queries: int = 300, dimension: int = DIMENSION) -> Corpus:
        draw = np.random.default_rng(1)
        topics = draw.normal(size=(TOPICS, dimension))
        documents = -(-count // CHUNKS_PER_DOCUMENT)
        of_chunks = np.repeat(draw.integers(0, TOPICS, documents), CHUNKS_PER_DOCUMENT)[:count]
        vectors = topics[of_chunks] + draw.normal(size=(count, dimension))
        asked = topics[draw.integers(0, TOPICS, queries)] + draw.normal(size=(queries, dimension))
        return cls(_unit(vectors), _unit(asked))

    def __len__(self) -> int:
        return len(self.vectors)

    def chunk_id(self, number: int) -> str:
        return str(uuid.UUID(int=number + 1))

    def attributes(self, number: int) -> dict[str, str | float | bool]:
        document = number // CHUNKS_PER_DOCUMENT
        return {"thousandth": document % 1000, "name": f"document {document}"}

    def records(self, start: int, stop: int) -> list[ChunkRecord]:
        return [self._record(number) for number in range(start, min(stop, len(self)))]

    def batches(self, size: int = BATCH) -> Iterator[list[ChunkRecord]]:
        for start in range(0, len(self), size):
            yield self.records(start, start + size)

    def nearest(self, query: NDArray[np.float32], limit: int, kept: NDArray[np.bool_]) -> set[str]:
        scores = np.where(kept, self.vectors @ query, -2)
        return {self.chunk_id(int(number)) for number in np.argsort(-scores)[:limit] if kept[number]}

    def kept(self, name: str) -> NDArray[np.bool_]:
        thousandths = np.arange(len(self)) // CHUNKS_PER_DOCUMENT % 1000
        kept: dict[str, NDArray[np.bool_]] = {
            "none": thousandths >= 0,
            "50 %": thousandths < 500,
            "1 %": thousandths < 10,
            "0.1 %": thousandths == 7,
        }
        return kept[name]

    def _record(self, number: int) -> ChunkRecord:
        return ChunkRecord(
            id=self.chunk_id(number),
            document=f"file-{number // CHUNKS_PER_DOCUMENT:032x}",
            ordinal=number % CHUNKS_PER_DOCUMENT,
            text=text_of(number),
            context=None,
            start=0,
            end=len(text_of(number)),
            page=None,
            tokens=200,
            attributes=self.attributes(number),
            extra=None,
            digest=f"{number:064x}",
            embedding=self.vectors[number].astype("<f4").tobytes(),
        )


def text_of(number: int) -> str:
    """About 800 characters, half of whose words are common."""
    common = ("the", "server", "keeps", "what", "it", "is", "told", "and", "answers")
    return " ".join(common[place % 9] if place % 2 else f"w{(number * 31 + place * 7) % 5003}" for place in range(150))


async def fill(
    stores: VectorStoreTable,
    chunks: ChunkTable,
    corpus: Corpus,
    owner: Principal,
    provider: str,
    model: str = "bench/model",
) -> StoreRecord:
    """A store with all chunks of the corpus as rows."""
    store = await stores.create(owner, NewStore("bench", provider, model, corpus.vectors.shape[1]))
    for batch in corpus.batches():
        assert await chunks.add(store.id, batch, attachment=None, words=words_of(batch))
    return await stores.get(owner, store.id)


def words_of(batch: Sequence[ChunkRecord]) -> list[str]:
    return [record.text for record in batch]


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit.astype(np.float32)
