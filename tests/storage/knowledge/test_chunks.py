"""Chunks: added once, found together with their file, over every SQL backend."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import sqlalchemy as sa

from llama_stack.storage.sql.knowledge.chunks import ADD_MAX
from llama_stack.storage.sql.knowledge.records import AttributeValues, FileCounts, FoundChunk, NewAttachment
from llama_stack.storage.sql.tables import CHUNK_WORDS, CHUNKS
from llama_stack_api.errors import InvalidRequest
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
    assert await tables.database.read(sa.select(CHUNK_WORDS.c.number)) == []
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
