"""Keyword search finds the chunks that have at least one of the words: words, not parts of them nor their like."""

from __future__ import annotations

import pytest

from tests.providers.vector_io.suite import Site, chunk, filter_of, id_of, ids

pytestmark = pytest.mark.anyio

TEXTS = [
    "the quick brown fox",
    "quick quick quick",
    "foxes run and running ran",
    "grosse strasse 42 büro",
    "日本 本語 語の",
    "and or not near the a",
    "x" * 64,
    "e2e 3 14",
    "",
]
QUERIES = [
    ["quick"],
    ["fox"],
    ["run"],
    ["brown", "42", "nothing"],
    ["日本"],
    ["語"],
    ["and"],
    ["or", "not"],
    ["near"],
    ["x" * 64],
    ["x"],
    ["the", "a"],
    ["büro"],
    ["buro"],
    ["e2e"],
    ["14"],
    ["missing"],
]


async def test_the_same_matches_everywhere(site: Site) -> None:
    assert site.keywords
    index = await site.index()
    await site.insert(index, [chunk(n, document=f"file-{n}", words=words) for n, words in enumerate(TEXTS)])
    for words in QUERIES:
        hits = await site.with_words(index, *words)
        assert set(ids(hits)) == site.rows.having(index, words), words
        assert all(hit.score > 0 for hit in hits)


async def test_the_best_comes_first(site: Site) -> None:
    assert site.keywords
    index = await site.index()
    filler = [chunk(n, words=f"common word{n} another{n} third{n}") for n in range(10, 60)]
    await site.insert(
        index, [*filler, chunk(1, words="rare common"), chunk(2, words="rare rare rare"), chunk(3, words="other text")]
    )
    hits = await site.with_words(index, "rare", "common")
    assert hits[0].id in (id_of(1), id_of(2))
    assert {id_of(1), id_of(2)} <= set(ids(hits)[:10])
    assert len(await site.with_words(index, "rare", "common", limit=5)) == 5


async def test_filters_and_changes_hold_for_keywords_too(site: Site) -> None:
    assert site.keywords
    index = await site.index()
    await site.insert(
        index, [chunk(n, document=f"file-{n % 3}", words="same words", attributes={"n": n}) for n in range(30)]
    )
    few = filter_of({"type": "in", "key": "n", "value": [3, 4, 5]})
    assert set(ids(await site.with_words(index, "same", filter=few))) == {id_of(3), id_of(4), id_of(5)}
    await site.delete_document(index, "file-0")
    assert set(ids(await site.with_words(index, "words", filter=few))) == {id_of(4), id_of(5)}
    await site.set_attributes(index, "file-1", {"n": 5})
    assert len(await site.with_words(index, "same", filter=few)) == 11
    await site.insert(index, [chunk(4, document="file-1", words="else")])
    assert id_of(4) not in ids(await site.with_words(index, "same"))
    assert ids(await site.with_words(index, "else")) == [id_of(4)]


async def test_words_of_one_index_do_not_count_in_another(site: Site) -> None:
    assert site.keywords
    one, other = await site.index(), await site.index()
    await site.insert(one, [chunk(1, words="alpha")])
    await site.insert(other, [chunk(2, words="alpha")])
    assert ids(await site.with_words(one, "alpha")) == [id_of(1)]
    await site.delete_index(one)
    assert await site.with_words(one, "alpha") == []
    assert ids(await site.with_words(other, "alpha")) == [id_of(2)]
