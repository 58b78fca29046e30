"""Nearest by cosine, in a well-defined order."""

from __future__ import annotations

import random

import pytest

from llama_stack_api.ports.vector_io import IndexedChunk
from tests.providers.vector_io.suite import DIMENSION, Site, chunk, cosine, filter_of, id_of, ids, packed, unpacked

pytestmark = pytest.mark.anyio

NEAR = 2e-5
"""Vectors are of 32 bits: what is nearer together than this has no order."""


def unit(place: int) -> list[float]:
    return [float(place == other) for other in range(DIMENSION)]


@pytest.mark.parametrize("dimension", [1, 8, 384])
async def test_the_order_is_that_of_the_cosine(site: Site, dimension: int) -> None:
    draw = random.Random(dimension)
    chunks = [
        chunk(n, [draw.gauss(0, 1) * draw.choice([0.1, 1, 30]) for _ in range(dimension)], document=f"file-{n % 5}")
        for n in range(120)
    ]
    index = await site.index(dimension)
    await site.insert(index, chunks)
    for limit in (1, 7, 120):
        query = [draw.gauss(0, 1) for _ in range(dimension)]
        expected = {each.id: cosine(query, unpacked(each.vector)) for each in chunks}
        hits = await site.nearest(index, query, limit)
        assert len(hits) == limit
        for hit, (_, score) in zip(hits, sorted((-score, score) for score in expected.values()), strict=False):
            assert hit.score == pytest.approx(expected[hit.id], abs=NEAR)
            assert hit.score == pytest.approx(score, abs=NEAR)


async def test_equally_near_chunks_come_in_the_order_of_their_ids(site: Site) -> None:
    index = await site.index()
    numbers = list(range(40))
    random.Random(1).shuffle(numbers)
    await site.insert(index, [chunk(n, unit(n % 2)) for n in numbers])
    hits = await site.nearest(index, unit(1), 40)
    assert ids(hits) == [id_of(n) for n in (*range(1, 40, 2), *range(0, 40, 2))]
    if site.engine.exact:
        assert ids(await site.nearest(index, unit(1), 25)) == ids(hits)[:25]
        assert ids(await site.nearest(index, unit(0), 3)) == [id_of(0), id_of(2), id_of(4)]


async def test_filters_hold_within_the_order(site: Site) -> None:
    index = await site.index()
    draw = random.Random(5)
    chunks = [
        chunk(n, [draw.gauss(0, 1) for _ in range(DIMENSION)], attributes={"n": n, "even": n % 2 == 0})
        for n in range(200)
    ]
    await site.insert(index, chunks)
    query = [draw.gauss(0, 1) for _ in range(DIMENSION)]
    for wanted, kept in [
        ({"type": "eq", "key": "even", "value": True}, [each for each in chunks if each.attributes["even"]]),
        ({"type": "lt", "key": "n", "value": 7}, chunks[:7]),
    ]:
        order = sorted(kept, key=lambda each: (-cosine(query, unpacked(each.vector)), each.id))
        hits = await site.nearest(index, query, 10, filter_of(wanted))
        assert ids(hits) == [each.id for each in order[:10]]


async def test_vectors_of_any_length(site: Site) -> None:
    """The smallest and the largest have a direction like others; one without is like nothing, and does no harm."""
    index = await site.index()
    zero = [0.0] * DIMENSION
    huge, tiny = [value * 3e38 for value in unit(0)], [value * 1e-40 for value in unit(1)]
    mixed = [1e19] * (DIMENSION - 1) + [-1e19]
    await site.insert(index, [chunk(0, zero), chunk(1, huge), chunk(2, tiny), chunk(3, mixed), chunk(4, unit(2))])
    for query, best in [(unit(0), 1), (unit(1), 2), (unit(2), 4), (mixed, 3), (huge, 1), (tiny, 2)]:
        first = (await site.nearest(index, query, 1))[0]
        assert first.id == id_of(best)
        assert first.score == pytest.approx(1, abs=1e-4)
    assert id_of(0) not in ids(await site.nearest(index, unit(0), 1))
    similar = [hit.id for hit in await site.nearest(index, mixed, 5) if hit.score > NEAR]
    assert set(similar) == {id_of(n) for n in (1, 2, 3, 4)}
    for hit in await site.nearest(index, zero, 5):
        assert hit.score == pytest.approx(0, abs=NEAR)


async def test_scores_of_opposite_and_unrelated_vectors(site: Site) -> None:
    index = await site.index()
    await site.insert(index, [chunk(1, unit(0)), chunk(2, unit(1)), chunk(3, [-2 * value for value in unit(0)])])
    hits = await site.nearest(index, unit(0))
    assert ids(hits) == [id_of(1), id_of(2), id_of(3)]
    assert [hit.score for hit in hits] == pytest.approx([1, 0, -1], abs=1e-5)


async def test_documents_may_be_called_anything(site: Site) -> None:
    index = await site.index()
    names = ["büro/日本 😀.pdf", "a'b\"c", "%", "_", "x" * 500, " ", "\\", "file-1; DROP TABLE x", "A", "a"]
    await site.insert(
        index,
        [IndexedChunk(id_of(n), name, packed(unit(n % DIMENSION)), "", {"name": name}) for n, name in enumerate(names)],
    )
    for n, name in enumerate(names):
        assert await site.found(index, filter_of({"type": "eq", "key": "name", "value": name})) == {id_of(n)}
        await site.delete_document(index, name)
        assert await site.found(index) == {id_of(later) for later in range(n + 1, len(names))}
