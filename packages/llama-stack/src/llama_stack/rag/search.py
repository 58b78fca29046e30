"""A search in one store: a request as a value in, chunks and their scores out.

    queries, and their embeddings → each in the index of vectors, of words, or both → fused, by places or scores or by
            the words of what was found → one list → the rows of the best, which say what is still there
            → the rerank model, where there is one → the best

Only the rows count: a hit whose row is gone is not a hit. So more is asked of an index than is wanted, and once more
where too little of it was left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from llama_stack.rag.evidence import evidence
from llama_stack.rag.fuse import in_order
from llama_stack.rag.indexing import embedded_text
from llama_stack.rag.ports import RerankPort
from llama_stack.rag.rank import Mode, RankingPlan, fused, merged, needs_evidence, reranked
from llama_stack.rag.words import query_words
from llama_stack.storage.sql.knowledge.records import FoundChunk
from llama_stack_api.filters import Filter
from llama_stack_api.ports.vector_io import Hit, Index, KeywordIndex, KeywordQuery, VectorIndex, VectorQuery
from llama_stack_api.principal import Call

CANDIDATES_MAX: Final = 2000
"""Hits that are asked of an index at once; further ones are too far off to matter."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where to search: a store, as it was when the search began."""

    store: str
    index: Index
    version: int


@dataclass(frozen=True, slots=True)
class Search:
    """`multiplier`: how many candidates are ranked for each result, where there is something to rank."""

    queries: tuple[str, ...]
    mode: Mode
    ranking: RankingPlan
    results_max: int
    filter: Filter | None = None
    multiplier: int = 5


@dataclass(frozen=True, slots=True)
class Found:
    """`score` is from 0 to 1."""

    row: FoundChunk
    score: float


class Rows(Protocol):
    async def found(self, store_id: str, ids: Sequence[str]) -> Mapping[str, FoundChunk]: ...


@dataclass(frozen=True, slots=True)
class Engine:
    """What a search in one store asks. `keywords` is the provider's own index of words, or that of our rows."""

    vectors: VectorIndex
    keywords: KeywordIndex
    rows: Rows
    reranker: RerankPort


async def search(place: Place, wanted: Search, vectors: Sequence[bytes], engine: Engine, call: Call) -> list[Found]:
    """At most `results_max`, the best first. `vectors` are those of the queries; a search by keywords needs none."""
    return await _Searching(place, wanted, vectors, engine).run(call)


class _Searching:
    def __init__(self, place: Place, wanted: Search, vectors: Sequence[bytes], engine: Engine) -> None:
        self._place = place
        self._wanted = wanted
        self._vectors = vectors
        self._engine = engine
        self._rows: dict[str, FoundChunk | None] = {}
        """What was read; None: it is gone."""

    async def run(self, call: Call) -> list[Found]:
        wanted = self._wanted
        is_ranked = wanted.mode == "hybrid" or wanted.ranking.model is not None
        limit = min(CANDIDATES_MAX, wanted.results_max * (wanted.multiplier if is_ranked else 1))
        while True:
            scores, is_all = await self._candidates(limit)
            best, were_gone = await self._still_there(scores)
            if not were_gone or len(best) >= wanted.results_max or is_all or limit >= CANDIDATES_MAX:
                break
            limit = min(CANDIDATES_MAX, limit * 4)
        if wanted.ranking.model is not None and best:
            best = await self._reranked(best, wanted.ranking.model, call)
        return [found for found in best[: wanted.results_max] if found.score >= wanted.ranking.score_threshold]

    async def _candidates(self, limit: int) -> tuple[dict[str, float], bool]:
        """Scores by id, and whether the index has no more than these."""
        numbers = range(len(self._wanted.queries))
        by_query = await asyncio.gather(*(self._hits(number, limit) for number in numbers))
        is_all = all(len(hits) < limit for found in by_query for hits in found.values())
        by_words = [await self._evidence(number, found) for number, found in enumerate(by_query)]
        ranked = map(fused, by_query, [self._wanted.ranking] * len(by_query), by_words)
        return merged(list(ranked)), is_all

    async def _evidence(self, number: int, found: Mapping[Mode, Sequence[Hit]]) -> dict[str, float] | None:
        if not needs_evidence(self._wanted.mode, self._wanted.ranking):
            return None
        rows = await self._read({hit.id: None for hits in found.values() for hit in hits})
        texts = {
            each: "" if row is None else embedded_text(row.chunk.text, row.chunk.context) for each, row in rows.items()
        }
        return evidence(query_words(self._wanted.queries[number]), texts)

    async def _hits(self, number: int, limit: int) -> dict[Mode, list[Hit]]:
        mode = self._wanted.mode
        if mode == "vector":
            return {"vector": await self._nearest(number, limit)}
        if mode == "keyword":
            return {"keyword": await self._worded(number, limit)}
        nearest, worded = await asyncio.gather(self._nearest(number, limit), self._worded(number, limit))
        return {"vector": nearest, "keyword": worded}

    async def _nearest(self, number: int, limit: int) -> list[Hit]:
        query = VectorQuery(self._vectors[number], limit, self._wanted.filter, self._place.version)
        return await self._engine.vectors.search_vectors(self._place.index, query)

    async def _worded(self, number: int, limit: int) -> list[Hit]:
        words = query_words(self._wanted.queries[number])
        if not words:
            return []
        query = KeywordQuery(words, limit, self._wanted.filter, self._place.version)
        return await self._engine.keywords.search_keywords(self._place.index, query)

    async def _still_there(self, scores: Mapping[str, float]) -> tuple[list[Found], bool]:
        """The best of those whose rows are there, in order: as many as are ranked. And whether some were gone."""
        wanted = self._wanted
        ordered = in_order(scores)
        number = wanted.results_max * (wanted.multiplier if wanted.ranking.model is not None else 1)
        found: list[Found] = []
        were_gone = False
        while ordered and len(found) < number:
            asked, ordered = ordered[: number - len(found)], ordered[number - len(found) :]
            rows = await self._read(asked)
            found += [Found(row, scores[each]) for each, row in rows.items() if row is not None]
            were_gone = were_gone or None in rows.values()
        return found, were_gone

    async def _read(self, ids: Iterable[str]) -> dict[str, FoundChunk | None]:
        """The rows of `ids`, in their order, each read once in a search."""
        asked = list(ids)
        missing = [each for each in asked if each not in self._rows]
        if missing:
            rows = await self._engine.rows.found(self._place.store, missing)
            self._rows |= {each: rows.get(each) for each in missing}
        return {each: self._rows[each] for each in asked}

    async def _reranked(self, best: Sequence[Found], model: str, call: Call) -> list[Found]:
        """By the best that the model says for any of the queries."""
        texts = [found.row.chunk.text for found in best]
        asked = (self._engine.reranker.rerank(model, query, texts, call) for query in self._wanted.queries)
        by_query = await asyncio.gather(*asked)
        by_id = {found.row.chunk.id: found for found in best}
        relevance = dict(zip(by_id, map(max, zip(*by_query, strict=True)), strict=True))
        scores = reranked({each: found.score for each, found in by_id.items()}, relevance, self._wanted.ranking)
        return [Found(by_id[each].row, scores[each]) for each in in_order(scores)]
