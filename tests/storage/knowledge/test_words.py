"""The keyword index over our rows, over every SQL backend."""

from __future__ import annotations

import random

import pytest

from llama_stack.storage.sql.knowledge import words as words_module
from llama_stack.storage.sql.knowledge.records import StoreRecord
from llama_stack_api.filters import ComparisonFilter, matches
from llama_stack_api.ports.vector_io import Index, KeywordQuery
from tests.storage.knowledge.tables import ALICE, KnowledgeTables, chunk

pytestmark = pytest.mark.anyio


async def search(
    tables: KnowledgeTables, store: StoreRecord, *words: str, limit: int = 10, **given: object
) -> list[str]:
    """The texts of the hits."""
    query = KeywordQuery(words, limit, **given)  # type: ignore[arg-type]
    hits = await tables.words.search_keywords(Index(store.index_id, 2), query)
    assert all(hit.score > 0 for hit in hits)
    found = await tables.chunks.found(store.id, [hit.id for hit in hits])
    return [found[hit.id].chunk.text for hit in hits]


async def test_the_best_first(tables: KnowledgeTables) -> None:
    store = await tables.store()
    texts = ["the llama", "the llama and the alpaca", "the alpaca alpaca", "the the the", "grüße 世界 界人"]
    await tables.ingest(store, "file-1", texts)
    assert await search(tables, store, "llama") == ["the llama", "the llama and the alpaca"]
    assert await search(tables, store, "llama", "alpaca") == [
        "the llama and the alpaca",
        "the alpaca alpaca",
        "the llama",
    ]
    assert await search(tables, store, "the", limit=1) == ["the the the"]
    assert await search(tables, store, "世界") == ["grüße 世界 界人"]
    assert await search(tables, store, "grüße", "nowhere") == ["grüße 世界 界人"]
    assert await search(tables, store, "grusse", "llam", "lama", "*", '"', "OR", "世") == []


async def test_only_of_this_store_and_only_what_is_there(tables: KnowledgeTables) -> None:
    store, other = await tables.store(), await tables.store()
    await tables.ingest(store, "file-1", ["llama one"])
    await tables.ingest(other, "file-1", ["llama two", "llama three"])
    assert await search(tables, store, "llama") == ["llama one"]
    before = await search(tables, other, "llama", "two")
    assert before == ["llama two", "llama three"]
    await tables.files.detach(ALICE, other.id, "file-1")
    assert await search(tables, other, "llama") == []
    await tables.chunks.add(other.id, [chunk("alpaca")], attachment=None, words=["alpaca"])
    await tables.chunks.add(other.id, [chunk("alpaca")], attachment=None, words=["camel"])
    assert await search(tables, other, "alpaca") == []
    assert await search(tables, other, "camel") == ["alpaca"]
    await tables.stores.delete(ALICE, other.id)
    assert await search(tables, other, "camel") == []


async def test_scores_do_not_depend_on_other_stores(tables: KnowledgeTables) -> None:
    store, other = await tables.store(), await tables.store()
    await tables.ingest(store, "file-1", ["llama one", "two", "llama llama three four"])
    query = KeywordQuery(("llama", "two"), 10)
    alone = await tables.words.search_keywords(Index(store.index_id, 2), query)
    await tables.ingest(other, "file-1", ["llama"] * 1 + [f"llama {number}" for number in range(50)])
    assert await tables.words.search_keywords(Index(store.index_id, 2), query) == alone


@pytest.mark.parametrize(
    "limits",
    [(10_000, 20_000, 20_000), (10_000, 20_000, 0), (20, 1000, 100), (5, 30, 0)],
    ids=["all", "index", "few ranked", "common"],
)
async def test_matches_are_right_whatever_is_ranked(
    tables: KnowledgeTables, monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int, int]
) -> None:
    """A chunk is found exactly if it has one of the words and passes the filter."""
    monkeypatch.setattr(words_module, "RANKED_MAX", limits[0])
    monkeypatch.setattr(words_module, "COMMON", limits[1])
    monkeypatch.setattr(words_module, "LOOKED_MAX", limits[2])
    choose = random.Random(1)
    store = await tables.store()
    vocabulary = [f"w{number}" for number in range(30)]
    texts = {
        f"{number} " + " ".join(choose.choices(vocabulary, weights=[1 / (n + 1) for n in range(30)], k=6))
        for number in range(150)
    }
    made = [
        chunk(text, attributes={"n": int(text.split()[0]) % 10, "k": "a" if "w0" in text.split() else "b"})
        for text in sorted(texts)
    ]
    assert await tables.chunks.add(store.id, made, attachment=None, words=[each.text for each in made])
    for filter_ in (
        None,
        ComparisonFilter(type="lt", key="n", value=3),
        ComparisonFilter(type="ne", key="k", value="a"),
    ):
        for count in (1, 2, 5):
            words = tuple(choose.sample(vocabulary, count))
            wanted = {
                each.text
                for each in made
                if set(each.text.split()) & set(words) and (filter_ is None or matches(filter_, each.attributes))
            }
            found = await search(tables, store, *words, limit=200, filter=filter_)
            assert sorted(found) == sorted(wanted)
            few = await search(tables, store, *words, limit=7, filter=filter_)
            assert len(few) == min(7, len(wanted))
            assert set(few) <= wanted


async def test_longer_queries_than_are_searched_for(tables: KnowledgeTables) -> None:
    store = await tables.store()
    await tables.ingest(store, "file-1", ["llama"])
    assert await search(tables, store, "llama", *(f"w{number}" for number in range(5000))) == ["llama"]
