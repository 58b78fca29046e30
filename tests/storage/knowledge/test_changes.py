"""What followers see: incrementally, at any moment, it leads to the rows. Over every SQL backend."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
import sqlalchemy as sa

from llama_stack.storage.sql.knowledge import changes
from llama_stack.storage.sql.knowledge.records import NewAttachment, StoreRecord
from llama_stack.storage.sql.knowledge.rows import SEEN_CHUNKS
from llama_stack.storage.sql.tables import CHUNKS
from llama_stack_api.ports.vector_io import Attributes, ChunkRow, ChunkRows, Index
from tests.storage.knowledge.tables import ALICE, KnowledgeTables, chunk, chunks, of

pytestmark = pytest.mark.anyio


@dataclass
class Follower:
    """An index as a provider would keep it: chunks by id, brought up to date by what `since` tells."""

    rows: ChunkRows
    index: Index
    version: int = 0
    chunks: dict[str, ChunkRow] = field(default_factory=dict)
    rebuilt: int = 0

    async def catch_up(self) -> None:
        delta = await self.rows.since(self.index, self.version)
        if delta.changes is None:
            self.chunks = {}
            self.rebuilt += 1
        for change in delta.changes or ():
            of_document = [row for row in self.chunks.values() if row.document == change.document]
            for row in of_document:
                if change.attributes is None:
                    del self.chunks[row.id]
                else:
                    self.chunks[row.id] = _with(row, change.attributes)
        async for rows in delta.chunks:
            for row in rows:
                assert row.version > self.version or delta.changes is None
                self.chunks[row.id] = row
        self.version = delta.version


def _with(row: ChunkRow, attributes: Attributes) -> ChunkRow:
    return ChunkRow(row.number, row.id, row.document, row.vector, attributes, row.version)


async def _rows(tables: KnowledgeTables, store: StoreRecord) -> dict[str, ChunkRow]:
    follower = Follower(tables.changes, index_of(store))
    await follower.catch_up()
    stored = await tables.database.read(
        sa.select(CHUNKS.c.id).select_from(SEEN_CHUNKS).where(CHUNKS.c.store == store.id)
    )
    assert follower.chunks.keys() == {chunk_id for (chunk_id,) in stored}
    return follower.chunks


def index_of(store: StoreRecord) -> Index:
    return Index(store.index_id, store.embedding_dimension)


async def test_step_by_step(tables: KnowledgeTables) -> None:
    store = await tables.store()
    follower = Follower(tables.changes, index_of(store))
    await follower.catch_up()
    assert (follower.version, follower.chunks) == (0, {})
    await tables.ingest(store, "file-1", ["a", "b"])
    await follower.catch_up()
    assert [row.vector for row in follower.chunks.values()] == [
        each.embedding for each in await tables.chunks.of_document(store.id, "file-1")
    ]
    await tables.files.set_attributes(ALICE, store.id, "file-1", {"lang": "de"})
    await tables.ingest(store, "file-2", ["c"])
    await follower.catch_up()
    assert sorted(str(row.attributes["lang"]) for row in follower.chunks.values()) == ["de", "de", "en"]
    rebuilt = follower.rebuilt
    await tables.files.detach(ALICE, store.id, "file-1")
    await tables.ingest(store, "file-1", ["a"])
    await tables.chunks.add(store.id, [chunk("raw")], attachment=None)
    await tables.chunks.add(store.id, [chunk("raw", ordinal=7)], attachment=None)
    await follower.catch_up()
    assert follower.chunks == await _rows(tables, store)
    assert len(follower.chunks) == 3
    assert follower.rebuilt == rebuilt, "only what changed was told"
    assert follower.version == (await tables.stores.get(ALICE, store.id)).version


async def test_forgotten_changes(tables: KnowledgeTables) -> None:
    store = await tables.store()
    for name in ("file-1", "file-2", "file-3"):
        await tables.ingest(store, name, [name])
    before = Follower(tables.changes, index_of(store))
    await before.catch_up()
    await tables.files.detach(ALICE, store.id, "file-1")
    await tables.files.detach(ALICE, store.id, "file-2")
    first, second = await tables.changes.pending()
    assert (first.document, first.attributes, first.provider, first.store) == ("file-1", None, "faiss", store.id)
    await tables.changes.confirm(store.id, first.version)
    await tables.changes.confirm(store.id, second.version)
    assert await tables.changes.pending() == []
    assert await tables.changes.forget(first.at + 0.0001) == 1
    between = Follower(tables.changes, index_of(store), version=first.version, chunks=dict(before.chunks))
    await between.catch_up()
    assert between.rebuilt == 0
    assert len(between.chunks) == 2, "it had seen the first change, so only the second was told"
    rebuilt = before.rebuilt
    await before.catch_up()
    assert before.rebuilt == rebuilt + 1
    assert before.chunks == await _rows(tables, store)
    ahead = Follower(tables.changes, index_of(store), version=10_000, chunks=dict(before.chunks))
    await ahead.catch_up()
    assert ahead.rebuilt == 1, "the rows are of a backup"


async def test_what_is_pending_is_not_forgotten(tables: KnowledgeTables) -> None:
    store = await tables.store()
    await tables.ingest(store, "file-1", ["x"])
    await tables.files.detach(ALICE, store.id, "file-1")
    assert await tables.changes.forget(tables.now + 1) == 0
    assert len(await tables.changes.pending_of(store.id, "file-1")) == 1
    await tables.stores.delete(ALICE, store.id)
    assert await tables.changes.pending() == []
    delta = await tables.changes.since(index_of(store), 1)
    assert (delta.version, delta.changes, [rows async for rows in delta.chunks]) == (0, None, [])


async def test_slices(tables: KnowledgeTables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "SLICE", 7)
    store = await tables.store()
    for number in range(5):
        await tables.ingest(store, f"file-{number}", [f"{number} {other}" for other in range(7)])
    delta = await tables.changes.since(index_of(store), 2)
    slices = [list(rows) async for rows in delta.chunks]
    assert [len(rows) for rows in slices] == [7, 7, 7]
    numbers = [row.number for rows in slices for row in rows]
    assert numbers == sorted(set(numbers))
    assert {row.version for rows in slices for row in rows} == {3, 4, 5}


@pytest.mark.parametrize("seed", range(3))
async def test_a_follower_among_writers(tables: KnowledgeTables, seed: int) -> None:
    """Writers add, replace, attribute and remove at once; followers that catch up meanwhile end with the rows."""
    choose = random.Random(seed)
    store = await tables.store()
    followers = [Follower(tables.changes, index_of(store)) for _ in range(2)]
    await tables.attach(store, *(f"file-{number}" for number in range(5)))
    writing = True

    async def add(name: str, number: int) -> None:
        file = await tables.files.get(ALICE, store.id, name)
        made = chunks(file, [f"text {number}", "x"], first=10 * number)
        await tables.chunks.add(store.id, made, attachment=of(file))

    actions: list[Callable[[str, int], Awaitable[object]]] = [
        *(add, add, add),
        lambda _, number: tables.chunks.add(store.id, [chunk(f"raw {number % 3}")], attachment=None),
        lambda name, number: tables.files.set_attributes(ALICE, store.id, name, {"n": number}),
        lambda name, number: tables.files.attach(ALICE, store.id, [NewAttachment(name, name, {}, {"n": number})]),
        lambda _, __: tables.chunks.delete_document(store.id, "doc"),
    ]

    async def write(worker: int) -> None:
        for number in range(20):
            await choose.choice(actions)(f"file-{choose.randrange(5)}", 20 * worker + number)

    async def follow(follower: Follower) -> None:
        while writing:
            await follower.catch_up()
            await asyncio.sleep(0)

    following = [asyncio.create_task(follow(follower)) for follower in followers]
    await asyncio.gather(*(write(worker) for worker in range(5)))
    writing = False
    await asyncio.gather(*following)
    wanted = await _rows(tables, store)
    assert len(wanted) > 5
    for follower in followers:
        await follower.catch_up()
        assert follower.chunks == wanted
        assert follower.version == (await tables.stores.get(ALICE, store.id)).version
