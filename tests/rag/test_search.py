"""A search in one store: what is asked of the indexes, and what of their hits is found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from llama_stack.rag.rank import Mode, RankingPlan
from llama_stack.rag.search import CANDIDATES_MAX, Engine, Found, Place, Search, search
from llama_stack.storage.sql.knowledge.records import ChunkRecord, FoundChunk
from llama_stack_api.filters import ComparisonFilter
from llama_stack_api.ports.vector_io import Attributes, Hit, Index, IndexedChunk, KeywordQuery, VectorQuery
from llama_stack_api.principal import Call

pytestmark = pytest.mark.anyio

INDEX = Index("vs_1", 2)
PLACE = Place("vs_1", INDEX, version=7)
VECTOR = b"12345678"
ANIMALS = ComparisonFilter(type="eq", key="kind", value="animal")


@dataclass
class Shelf:
    """An index of vectors and of words, the rows, and a rerank model, that all say what they are told to."""

    nearest: Mapping[bytes, Sequence[tuple[str, float]]] = field(default_factory=dict)
    worded: Mapping[str, Sequence[tuple[str, float]]] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()
    relevance: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """Of a query and a chunk's text."""
    asked: list[VectorQuery | KeywordQuery] = field(default_factory=list)
    judged: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)

    async def search_vectors(self, index: Index, query: VectorQuery) -> list[Hit]:
        assert index == INDEX
        self.asked.append(query)
        return [Hit(*each) for each in self.nearest[query.vector][: query.limit]]

    async def search_keywords(self, index: Index, query: KeywordQuery) -> list[Hit]:
        assert index == INDEX
        self.asked.append(query)
        return [Hit(*each) for each in self.worded[" ".join(query.words)][: query.limit]]

    async def found(self, store_id: str, ids: Sequence[str]) -> dict[str, FoundChunk]:
        assert store_id == PLACE.store
        return {each: row(each) for each in ids if each not in self.gone}

    async def rerank(self, model: str, query: str, texts: Sequence[str], call: Call) -> list[float]:
        self.judged.append((model, query, tuple(texts)))
        return [self.relevance[query, text] for text in texts]

    # --- the rest of a vector index, which no search asks for

    async def create_index(self, index: Index) -> None:
        raise AssertionError

    async def delete_index(self, index: Index) -> None:
        raise AssertionError

    async def upsert_chunks(self, index: Index, chunks: Sequence[IndexedChunk]) -> None:
        raise AssertionError

    async def delete_document(self, index: Index, document: str) -> None:
        raise AssertionError

    async def set_attributes(self, index: Index, document: str, attributes: Attributes) -> None:
        raise AssertionError


def row(chunk_id: str) -> FoundChunk:
    chunk = ChunkRecord(
        id=chunk_id,
        document=f"file-{chunk_id}",
        ordinal=0,
        text=f"text of {chunk_id}",
        context=None,
        start=0,
        end=9,
        page=None,
        tokens=3,
        attributes={},
        extra=None,
        digest=chunk_id,
        embedding=None,
    )
    return FoundChunk(chunk, f"{chunk_id}.txt")


def ranked(*ids: str, best: float = 0.9, step: float = 0.01) -> list[tuple[str, float]]:
    return [(each, best - step * place) for place, each in enumerate(ids)]


def many(count: int) -> list[tuple[str, float]]:
    return ranked(*(f"c{number}" for number in range(count)), step=0.0001)


def wanted(mode: Mode = "vector", *, queries: tuple[str, ...] = ("bees",), results_max: int = 3) -> Search:
    return Search(queries, mode, RankingPlan(), results_max, multiplier=4)


async def searched(shelf: Shelf, what: Search, vectors: Sequence[bytes] = (VECTOR,)) -> list[Found]:
    return await search(PLACE, what, vectors, Engine(shelf, shelf, shelf, shelf), Call())


def ids(found: Sequence[Found]) -> list[str]:
    return [each.row.chunk.id for each in found]


async def test_the_nearest_with_their_rows_and_scores() -> None:
    shelf = Shelf(nearest={VECTOR: ranked("a", "b", "c", "d")})
    found = await searched(shelf, wanted())
    assert ids(found) == ["a", "b", "c"]
    assert [each.score for each in found] == pytest.approx([0.9, 0.89, 0.88])
    assert (found[0].row.filename, found[0].row.chunk.text) == ("a.txt", "text of a")
    assert shelf.asked == [VectorQuery(VECTOR, 3, None, 7)], "as many as are wanted, of the version that was read"


async def test_the_filter_goes_to_each_index() -> None:
    shelf = Shelf(nearest={VECTOR: ranked("a")}, worded={"bees": ranked("a")})
    await searched(shelf, replace(wanted("hybrid"), filter=ANIMALS))
    assert [query.filter for query in shelf.asked] == [ANIMALS, ANIMALS]


async def test_words_need_no_vectors() -> None:
    shelf = Shelf(worded={"bees honey": [("a", 3.0), ("b", 1.0)]})
    found = await searched(shelf, wanted("keyword", queries=("How do the Bees and their Honey?",)), vectors=())
    assert (ids(found), [each.score for each in found]) == (["a", "b"], [0.75, 0.5])


async def test_a_query_without_words_finds_nothing_by_words() -> None:
    shelf = Shelf(nearest={VECTOR: ranked("a")})
    assert await searched(shelf, wanted("keyword", queries=("…!?",)), vectors=()) == []
    assert shelf.asked == []
    assert ids(await searched(shelf, wanted("hybrid", queries=("…!?",)))) == ["a"]


async def test_a_hybrid_search_asks_both_for_more_than_is_wanted() -> None:
    shelf = Shelf(nearest={VECTOR: ranked("a", "b", "c")}, worded={"bees": ranked("c", "d", "a")})
    found = await searched(shelf, replace(wanted("hybrid"), ranking=RankingPlan("rrf")))
    assert {query.limit for query in shelf.asked} == {12}
    assert set(ids(found)[:2]) == {"a", "c"}, "both found them"
    scores = [each.score for each in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


async def test_a_hybrid_search_ranks_by_what_the_words_cover() -> None:
    nearest, worded = many(8), ranked("c2", "c7", "elsewhere")
    shelf = Shelf(nearest={VECTOR: nearest}, worded={"c7": worded}, gone=frozenset({"c1"}))
    found = await searched(shelf, wanted("hybrid", queries=("What is c7?",)))
    assert ids(found) == ["c7", "c0", "c2"], "the chunk with the code; then those that are nearest, and there"
    assert found[0].score == pytest.approx((nearest[7][1] + 0.3) / 1.3)
    assert found[1].score == pytest.approx(nearest[0][1] / 1.3)


async def test_of_several_queries_the_best_score_counts() -> None:
    other = b"87654321"
    shelf = Shelf(nearest={VECTOR: ranked("a", "b", best=0.5), other: ranked("c", "a", best=0.8)})
    found = await searched(shelf, wanted(queries=("bees", "wasps")), vectors=[VECTOR, other])
    assert [(each.row.chunk.id, round(each.score, 2)) for each in found] == [("c", 0.8), ("a", 0.79), ("b", 0.49)]


async def test_a_hit_without_a_row_is_no_hit_and_more_is_asked_for() -> None:
    shelf = Shelf(nearest={VECTOR: many(50)}, gone=frozenset({"c0", "c1", "c2"}))
    assert ids(await searched(shelf, wanted())) == ["c3", "c4", "c5"]
    assert [query.limit for query in shelf.asked] == [3, 12]


async def test_an_index_that_has_no_more_is_not_asked_again() -> None:
    shelf = Shelf(nearest={VECTOR: many(2)}, gone=frozenset({"c0"}))
    assert ids(await searched(shelf, wanted())) == ["c1"]
    assert len(shelf.asked) == 1


async def test_an_index_of_nothing_but_what_is_gone_is_asked_for_so_many_at_most() -> None:
    shelf = Shelf(nearest={VECTOR: many(CANDIDATES_MAX + 500)}, gone=frozenset(each for each, _ in many(9000)))
    assert await searched(shelf, wanted(results_max=50)) == []
    assert [query.limit for query in shelf.asked] == [50, 200, 800, CANDIDATES_MAX]


async def test_below_the_threshold_nothing_is_found() -> None:
    shelf = Shelf(nearest={VECTOR: [("a", 0.9), ("b", 0.5), ("c", -0.2)]})
    threshold = replace(wanted(), ranking=RankingPlan(score_threshold=0.5))
    assert ids(await searched(shelf, threshold)) == ["a", "b"]
    assert [each.score for each in await searched(shelf, wanted())] == [0.9, 0.5, 0.0], "no score is below 0"


async def test_the_rerank_model_sees_more_than_is_wanted_and_decides() -> None:
    said = {("bees", f"text of c{number}"): number / 100 for number in range(20)}
    shelf = Shelf(nearest={VECTOR: many(20)}, relevance=said)
    found = await searched(shelf, replace(wanted(), ranking=RankingPlan(model="tei/bge")))
    ((model, query, texts),) = shelf.judged
    assert (model, query, len(texts)) == ("tei/bge", "bees", 12)
    assert ids(found) == ["c11", "c10", "c9"]


async def test_the_rerank_model_judges_by_each_query_and_its_best_counts() -> None:
    other = b"87654321"
    said = {
        ("bees", "text of a"): 0.1,
        ("bees", "text of b"): 0.3,
        ("wasps", "text of a"): 0.9,
        ("wasps", "text of b"): 0,
    }
    shelf = Shelf(nearest={VECTOR: ranked("b", "a"), other: ranked("b", "a")}, relevance=said)
    ranking = RankingPlan(model="tei/bge")
    found = await searched(shelf, replace(wanted(queries=("bees", "wasps")), ranking=ranking), vectors=[VECTOR, other])
    assert ids(found) == ["a", "b"]
    assert sorted(query for _, query, _ in shelf.judged) == ["bees", "wasps"]


async def test_nobody_judges_nothing() -> None:
    shelf = Shelf(nearest={VECTOR: ranked("a")}, gone=frozenset("a"))
    assert await searched(shelf, replace(wanted(), ranking=RankingPlan(model="tei/bge"))) == []
    assert shelf.judged == []
