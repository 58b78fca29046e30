"""Chunks: added once, found together with their file, over every SQL backend."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import sqlalchemy as sa

from llama_stack.storage.sql.knowledge.chunks import ADD_MAX
from llama_stack.storage.sql.knowledge.records import AttributeValues, FileCounts, FoundChunk, NewAttachment
from llama_stack.storage.sql.tables import CHUNK_SETS, CHUNK_WORDS, CHUNKS
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.filters import ComparisonFilter
from llama_stack_api.ports.vector_io import Index, KeywordQuery
from tests.storage.knowledge.tables import ALICE, KnowledgeTables, chunk, chunks, of, vector

pytestmark = pytest.mark.anyio


async def test_everything_comes_back(tables: KnowledgeTables) -> None:
    store = await tables.store()
    given: AttributeValues = {"n": 1.5, "b": True, "s": "é"}
    (file,) = await tables.files.attach(ALICE, store.id, [NewAttachment("file-1", "file-1.txt", given)])
    (made,) = chunks(file, ["Grüße 🦙"])
    made = replace(made, context="A letter", page=3, extra={"source": "x"}, attributes={"set": "meanwhile"})
    assert await tables.chunks.add(store.id, [made], attachment=of(file))
    made = replace(made, attributes=given)  # the file's, which may have changed since the chunk was made
    assert await tables.chunks.of_document(store.id, "file-1") == [made]
    found = await tables.chunks.found(store.id, [made.id, "unknown"])
    assert found == {made.id: FoundChunk(replace(made, embedding=None), "file-1.txt")}
    assert await tables.chunks.known_embeddings([made.digest, "other"]) == {made.digest: made.embedding}


async def test_the_same_chunks_again_change_nothing(tables: KnowledgeTables) -> None:
    store = await tables.store()
    (file,) = await tables.attach(store, "file-1")
    words = ["one two", "three"]
    for _ in range(3):
        assert await tables.chunks.add(store.id, chunks(file, words), attachment=of(file), usage_bytes=8, words=words)
    there = await tables.files.get(ALICE, store.id, "file-1")
    assert (there.chunks_done, there.usage_bytes) == (2, 8)
    more = ["three", "four"]
    half = chunks(file, more, first=1)
    assert await tables.chunks.add(store.id, half, attachment=of(file), usage_bytes=8, words=more)
    there = await tables.files.get(ALICE, store.id, "file-1")
    assert (there.chunks_done, there.usage_bytes) == (3, 12)
    assert await tables.counted(store.id) == await tables.recount(store.id)
    assert await tables.counted(store.id) == (FileCounts(in_progress=1), 12, 3, 4)


async def test_batches_at_once_are_each_whole(tables: KnowledgeTables) -> None:
    store = await tables.store()
    files = await tables.attach(store, *(f"file-{number}" for number in range(6)))
    added = await asyncio.gather(
        *(
            tables.chunks.add(
                store.id, chunks(file, ["a b", "c"], first=first), attachment=of(file), words=["a b", "c"]
            )
            for file in files
            for first in (0, 2)
        )
    )
    assert all(added)
    rows = await tables.database.read(sa.select(CHUNKS.c.version, sa.func.count()).group_by(CHUNKS.c.version))
    assert sorted(rows) == [(version, 2) for version in range(1, 13)], "a version for each"
    assert await tables.counted(store.id) == await tables.recount(store.id)


async def test_what_a_client_wrote_is_replaced(tables: KnowledgeTables) -> None:
    store = await tables.store()
    one, two = chunk("one"), chunk("two", ordinal=1)
    assert await tables.chunks.add(store.id, [one, two], attachment=None, words=["one", "two"])
    changed = replace(one, text="one more", embedding=vector(5, 5))
    assert await tables.chunks.add(store.id, [changed], attachment=None, words=["one more"])
    found = await tables.chunks.found(store.id, [one.id, two.id])
    assert {key: (each.chunk.text, each.filename) for key, each in found.items()} == {
        one.id: ("one more", None),
        two.id: ("two", None),
    }
    assert await tables.counted(store.id) == await tables.recount(store.id) == (FileCounts(), 0, 2, 3)
    assert await tables.chunks.delete_document(store.id, "doc")
    assert not await tables.chunks.delete_document(store.id, "doc")
    assert await tables.counted(store.id) == await tables.recount(store.id) == (FileCounts(), 0, 0, 0)
    while await tables.chunks.sweep():
        pass
    for table in (CHUNK_WORDS, CHUNKS, CHUNK_SETS):
        assert await tables.database.read(sa.select(table.c.number)) == []
    assert [change.document for change in await tables.changes.pending()] == ["doc"]


async def test_ids_of_another_store_are_not_found(tables: KnowledgeTables) -> None:
    mine, other = await tables.store(), await tables.store()
    made = chunk("x")
    assert await tables.chunks.add(mine.id, [made], attachment=None)
    assert await tables.chunks.found(other.id, [made.id]) == {}
    assert await tables.chunks.of_document(other.id, "doc") == []
    assert not await tables.chunks.delete_document(other.id, "doc")
    assert not await tables.chunks.add("vs_unknown", [made], attachment=None)
    assert list(await tables.chunks.found(mine.id, [made.id])) == [made.id]


async def test_of_a_document_in_pages(tables: KnowledgeTables) -> None:
    store = await tables.store()
    file = await tables.ingest(store, "file-1", [f"text {number}" for number in range(10)])
    first = await tables.chunks.of_document(store.id, file.file, limit=4)
    rest = await tables.chunks.of_document(store.id, file.file, after_ordinal=first[-1].ordinal)
    assert [each.ordinal for each in [*first, *rest]] == list(range(10))


async def test_texts_that_cannot_be_stored(tables: KnowledgeTables) -> None:
    store = await tables.store()
    made = chunk("a\0b\ud800c", name="x", digest="d")
    assert await tables.chunks.add(store.id, [made], attachment=None)
    (found,) = (await tables.chunks.found(store.id, [made.id])).values()
    assert found.chunk.text == "a\ufffdb\ufffdc", "as long as before"
    with pytest.raises(InvalidRequest, match="attributes"):
        await tables.chunks.add(store.id, [chunk("x", attributes={"k": "\0"})], attachment=None)
    with pytest.raises(InvalidRequest, match="finite"):
        await tables.chunks.add(store.id, [chunk("x", attributes={"k": float("nan")})], attachment=None)
    with pytest.raises(InvalidRequest, match=str(ADD_MAX)):
        await tables.chunks.add(store.id, [chunk(str(number)) for number in range(ADD_MAX + 1)], attachment=None)


async def test_many_ids_at_once(tables: KnowledgeTables) -> None:
    store = await tables.store()
    made = [chunk(f"text {number}", ordinal=number) for number in range(ADD_MAX)]
    assert await tables.chunks.add(store.id, made, attachment=None)
    found = await tables.chunks.found(store.id, [*(each.id for each in made), *(f"no {n}" for n in range(50_000))])
    assert found.keys() == {each.id for each in made}
    known = await tables.chunks.known_embeddings([each.digest for each in made])
    assert known == {each.digest: each.embedding for each in made}


async def test_what_is_removed_is_out_of_sight_and_goes_in_slices(tables: KnowledgeTables) -> None:
    store = await tables.store()
    kept = await tables.ingest(store, "kept", ["word kept"])
    gone = await tables.ingest(store, "gone", [f"word {number}" for number in range(20)])
    before = [each.id for each in await tables.chunks.of_document(store.id, "gone")]
    await tables.files.detach(ALICE, store.id, "gone")
    ((rows,),) = await tables.database.read(sa.select(sa.func.count()).select_from(CHUNKS))
    assert rows == 21, "they are there still"
    attached = await tables.ingest(store, "gone", ["word again"])

    async def check() -> None:
        assert await tables.chunks.found(store.id, before) == {}
        assert [each.text for each in await tables.chunks.of_document(store.id, "gone")] == ["word again"]
        for filter_ in (None, ComparisonFilter(type="eq", key="lang", value="en")):
            query = KeywordQuery(("word",), 50, filter_)
            hits = await tables.words.search_keywords(Index(store.index_id, 2), query)
            assert {hit.id for hit in hits} == {each.id for file in (kept, attached) for each in chunks(file, ["x"])}
        delta = await tables.changes.since(Index(store.index_id, 2), 0)
        assert [row.document async for slice_ in delta.chunks for row in slice_] == ["kept", "gone"]
        assert await tables.counted(store.id) == await tables.recount(store.id) == (FileCounts(completed=2), 20, 2, 4)

    assert gone.attachment != attached.attachment
    await check()
    assert await tables.chunks.sweep(7) == 7
    await check()
    while await tables.chunks.sweep(7) >= 7:
        pass
    await check()
    for table, left in ((CHUNKS, 2), (CHUNK_WORDS, 2), (CHUNK_SETS, 2)):
        assert await tables.database.read(sa.select(sa.func.count()).select_from(table)) == [(left,)]


async def test_sweeps_at_once(tables: KnowledgeTables) -> None:
    store = await tables.store()
    for name in ("file-1", "file-2"):
        await tables.ingest(store, name, [f"{name} {number}" for number in range(30)])
        await tables.files.detach(ALICE, store.id, name)

    async def sweep() -> None:
        while await tables.chunks.sweep(3):
            pass

    await asyncio.gather(*(sweep() for _ in range(4)))
    for table in (CHUNKS, CHUNK_WORDS, CHUNK_SETS):
        assert await tables.database.read(sa.select(sa.func.count()).select_from(table)) == [(0,)]


async def test_a_client_writes_again_what_is_removed_but_not_swept(tables: KnowledgeTables) -> None:
    store = await tables.store()
    one, two = chunk("one"), chunk("two", ordinal=1, attributes={"lang": "de"})
    for _ in range(3):
        assert await tables.chunks.add(store.id, [one, two], attachment=None, words=["one", "two"])
        assert await tables.counted(store.id) == await tables.recount(store.id) == (FileCounts(), 0, 2, 2)
        assert await tables.chunks.delete_document(store.id, "doc")
        assert await tables.chunks.found(store.id, [one.id, two.id]) == {}
    assert await tables.chunks.add(store.id, [one, two], attachment=None, words=["one", "two"])
    moved = replace(two, attributes={"lang": "fr"})
    assert await tables.chunks.add(store.id, [moved], attachment=None, words=["two"])
    while await tables.chunks.sweep():
        pass
    found = await tables.chunks.found(store.id, [one.id, two.id])
    assert {key: each.chunk.attributes for key, each in found.items()} == {
        one.id: {"lang": "en"},
        two.id: {"lang": "fr"},
    }
    assert await tables.counted(store.id) == await tables.recount(store.id) == (FileCounts(), 0, 2, 2)
    sets = await tables.database.read(sa.select(CHUNK_SETS.c.number))
    assert len(sets) == 2, "none is left empty"


async def test_attributes_of_a_file_with_chunks_of_a_client(tables: KnowledgeTables) -> None:
    """They are those of all its chunks; what the client writes later has its own again."""
    store = await tables.store()
    await tables.ingest(store, "file-1", ["one"])
    by_client = chunk("two", document="file-1", ordinal=1)
    assert await tables.chunks.add(store.id, [by_client], attachment=None)
    await tables.files.set_attributes(ALICE, store.id, "file-1", {"new": True})
    later = chunk("three", document="file-1", ordinal=2)
    assert await tables.chunks.add(store.id, [later], attachment=None)
    given = [each.attributes for each in await tables.chunks.of_document(store.id, "file-1")]
    assert given == [{"new": True}, {"new": True}, {"lang": "en"}]
