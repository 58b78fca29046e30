"""Indexes and chunks come and go, and searches that begin afterwards say so."""

from __future__ import annotations

import asyncio

import pytest

from llama_stack_api.ports.vector_io import Index
from tests.providers.vector_io.suite import Site, chunk, filter_of, id_of, ids, some_vector

pytestmark = pytest.mark.anyio


async def test_an_index_can_be_made_and_deleted_twice(site: Site) -> None:
    index = await site.index()
    await site.insert(index, [chunk(1)])
    await site.provider.create_index(index)
    assert await site.found(index) == {id_of(1)}
    await site.delete_index(index)
    await site.delete_index(index)
    assert await site.found(index) == set()
    await site.provider.create_index(index)
    assert await site.found(index) == set()
    await site.insert(index, [chunk(2)])
    assert await site.found(index) == {id_of(2)}


async def test_an_index_that_does_not_exist_is_empty(site: Site) -> None:
    index = Index("vs_that_nobody_made", 8)
    assert await site.nearest(index, some_vector(1)) == []
    await site.provider.delete_document(index, "file-1")
    await site.provider.set_attributes(index, "file-1", {"a": 1})
    await site.provider.delete_index(index)
    assert await site.nearest(index, some_vector(1)) == []


async def test_an_empty_index_finds_nothing(site: Site) -> None:
    index = await site.index()
    assert await site.nearest(index, some_vector(1)) == []
    await site.provider.upsert_chunks(index, [])
    assert await site.nearest(index, some_vector(1), 10, filter_of({"type": "ne", "key": "a", "value": 1})) == []


async def test_a_chunk_that_is_there_is_replaced(site: Site) -> None:
    index = await site.index()
    await site.insert(index, [chunk(1, [1, 0, 0, 0, 0, 0, 0, 0], attributes={"a": "old"}), chunk(2)])
    again = chunk(1, [0, 1, 0, 0, 0, 0, 0, 0], attributes={"a": "new", "b": 1})
    await site.insert(index, [again])
    await site.insert(index, [again])
    (best, _) = await site.nearest(index, [0, 1, 0, 0, 0, 0, 0, 0], 2)
    assert best.id == id_of(1)
    assert best.score == pytest.approx(1, abs=1e-5)
    assert await site.found(index) == {id_of(1), id_of(2)}
    assert await site.found(index, filter_of({"type": "eq", "key": "a", "value": "old"})) == set()
    assert await site.found(index, filter_of({"type": "eq", "key": "b", "value": 1})) == {id_of(1)}


async def test_a_deleted_document_is_gone_at_once(site: Site) -> None:
    index = await site.index()
    await site.insert(index, [chunk(number, document=f"file-{number % 3}") for number in range(30)])
    await site.delete_document(index, "file-1")
    assert await site.found(index) == {id_of(number) for number in range(30) if number % 3 != 1}
    await site.delete_document(index, "file-1")
    await site.delete_document(index, "file-of-nobody")
    assert len(await site.nearest(index, some_vector(1), 20)) == 20
    await site.insert(index, [chunk(100, document="file-1")])
    assert await site.found(index) == {*(id_of(n) for n in range(30) if n % 3 != 1), id_of(100)}


async def test_deleting_and_writing_again_in_one_go(site: Site) -> None:
    """A provider that follows rows sees all of this as one difference."""
    index = await site.index()
    await site.insert(index, [chunk(1), chunk(2, document="file-2")])
    await site.delete_document(index, "file-1")
    await site.insert(index, [chunk(1, attributes={"a": 1}), chunk(3)])
    await site.set_attributes(index, "file-1", {"a": 2})
    await site.insert(index, [chunk(4, attributes={"a": 2})])
    await site.delete_document(index, "file-2")
    assert await site.found(index) == {id_of(1), id_of(3), id_of(4)}
    assert await site.found(index, filter_of({"type": "eq", "key": "a", "value": 2})) == {id_of(1), id_of(3), id_of(4)}


async def test_attributes_are_those_of_the_whole_document_and_replaced_as_a_whole(site: Site) -> None:
    index = await site.index()
    chunks = [chunk(n, document=f"file-{n % 2}", attributes={"a": "x", "b": 1}) for n in range(10)]
    await site.insert(index, chunks)
    await site.set_attributes(index, "file-0", {"a": "y", "größe": 2.5})
    await site.set_attributes(index, "file-of-nobody", {"a": "y"})
    even = {id_of(n) for n in range(0, 10, 2)}
    assert await site.found(index, filter_of({"type": "eq", "key": "a", "value": "y"})) == even
    assert await site.found(index, filter_of({"type": "gt", "key": "größe", "value": 2})) == even
    assert await site.found(index, filter_of({"type": "nin", "key": "b", "value": [1]})) == even
    await site.set_attributes(index, "file-0", {})
    assert await site.found(index, filter_of({"type": "ne", "key": "a", "value": "x"})) == even


async def test_indexes_never_mix(site: Site) -> None:
    one, other = await site.index(), await site.index(dimension=4)
    await site.insert(one, [chunk(1, attributes={"a": 1}), chunk(2, attributes={"a": 1})])
    await site.insert(other, [chunk(1, [1, 1, 1, 1], attributes={"a": 1}), chunk(7, [0, 0, 0, 1])])
    assert await site.found(one) == {id_of(1), id_of(2)}
    assert await site.found(other) == {id_of(1), id_of(7)}
    await site.delete_document(one, "file-1")
    assert await site.found(one) == set()
    assert await site.found(other, filter_of({"type": "eq", "key": "a", "value": 1})) == {id_of(1)}
    await site.delete_index(one)
    assert await site.found(other) == {id_of(1), id_of(7)}


async def test_two_thousand_chunks_at_once(site: Site) -> None:
    index = await site.index()
    chunks = [chunk(n, document=f"file-{n % 7}", attributes={"n": n}) for n in range(2000)]
    await site.insert(index, chunks)
    assert len(await site.found(index)) == 2000
    few = filter_of({"type": "gte", "key": "n", "value": 1998})
    assert await site.found(index, few) == {id_of(1998), id_of(1999)}
    await site.delete_document(index, "file-0")
    assert await site.found(index) == {id_of(n) for n in range(2000) if n % 7}


async def test_a_filter_that_keeps_few_still_fills_the_limit(site: Site) -> None:
    index = await site.index()
    far = [-value for value in some_vector(0)]
    wanted = {n for n in range(3000) if n % 1000 < 5}
    await site.insert(
        index, [chunk(n, far if n in wanted else None, attributes={"kept": n in wanted}) for n in range(3000)]
    )
    hits = await site.nearest(index, some_vector(0), 15, filter_of({"type": "eq", "key": "kept", "value": True}))
    assert set(ids(hits)) == {id_of(n) for n in wanted}


async def test_writers_and_readers_at_once(site: Site) -> None:
    """A search that begins after a write has returned sees it, whatever else goes on."""
    index = await site.index()

    async def work(worker: int) -> None:
        mine = filter_of({"type": "eq", "key": "worker", "value": worker})
        expected: set[str] = set()
        for turn in range(6):
            numbers = [worker * 1000 + turn * 10 + n for n in range(5)]
            document = f"file-{worker}-{turn}"
            await site.insert(index, [chunk(n, document=document, attributes={"worker": worker}) for n in numbers])
            expected |= {id_of(n) for n in numbers}
            assert await site.found(index, mine) == expected
            if turn % 2:
                await site.delete_document(index, document)
                expected -= {id_of(n) for n in numbers}
                assert await site.found(index, mine) == expected

    await asyncio.gather(*(work(worker) for worker in range(4)))
    assert await site.found(index) == site.rows.matching(index)
