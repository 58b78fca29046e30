"""`inline::faiss` over the rows of real databases, in two servers at once: each sees what the other wrote."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from llama_stack.storage.sql.database import Database
from llama_stack.storage.sql.knowledge.changes import StoreChanges
from llama_stack.storage.sql.knowledge.chunks import ChunkTable
from llama_stack.storage.sql.knowledge.files import AttachedFileTable
from llama_stack.storage.sql.knowledge.records import Attachment, ChunkRecord, NewAttachment, NewStore, StoreRecord
from llama_stack.storage.sql.knowledge.rows import SEEN_CHUNKS
from llama_stack.storage.sql.knowledge.stores import VectorStoreTable
from llama_stack.storage.sql.tables import CHUNK_SETS, CHUNKS
from llama_stack_api.filters import Filter, matches
from llama_stack_api.ports.vector_io import FollowsRows, Index, VectorIndex, VectorQuery
from llama_stack_api.principal import Principal
from tests.providers.vector_io.suite import filter_of, opened_provider, packed, some_vector

pytestmark = pytest.mark.anyio

ALICE = Principal("alice", "acme")
DIMENSION = 8
FILTERS: list[Filter | None] = [
    None,
    filter_of({"type": "lt", "key": "n", "value": 3}),
    filter_of({"type": "ne", "key": "sprache", "value": "größer 😀"}),
]


class Server:
    """The tables as a server uses them, and faiss over them."""

    def __init__(self, database: Database, provider: VectorIndex) -> None:
        self.database = database
        self.stores = VectorStoreTable(database)
        self.files = AttachedFileTable(database)
        self.chunks = ChunkTable(database)
        self.changes = StoreChanges(database)
        self.provider = provider
        assert isinstance(provider, FollowsRows)
        provider.follow(self.changes)

    async def ingest(self, store: StoreRecord, file: str, count: int, attributes: dict[str, Any]) -> None:
        (attached,) = await self.files.attach(ALICE, store.id, [NewAttachment(file, f"{file}.txt", attributes)])
        place = Attachment(file, attached.attachment)
        records = [_record(file, ordinal, attributes) for ordinal in range(count)]
        assert await self.chunks.add(store.id, records, attachment=place, usage_bytes=1, words=["word"] * count)
        assert await self.files.complete(store.id, place)

    async def found(self, store: StoreRecord, wanted: Filter | None) -> set[str]:
        now = await self.stores.get(ALICE, store.id)
        query = VectorQuery(packed(some_vector(3)), 1000, wanted, now.version)
        return {hit.id for hit in await self.provider.search_vectors(Index(store.index_id, DIMENSION), query)}

    async def expected(self, store: StoreRecord, wanted: Filter | None) -> set[str]:
        rows = await self.database.read(
            sa.select(CHUNKS.c.id, CHUNK_SETS.c.attributes).select_from(SEEN_CHUNKS).where(CHUNKS.c.store == store.id)
        )
        return {id for id, attributes in rows if wanted is None or matches(wanted, json.loads(attributes))}


def _record(document: str, ordinal: int, attributes: dict[str, Any]) -> ChunkRecord:
    return ChunkRecord(
        id=str(uuid.uuid4()),
        document=document,
        ordinal=ordinal,
        text="word",
        context=None,
        start=0,
        end=4,
        page=None,
        tokens=1,
        attributes=attributes,
        extra=None,
        digest=uuid.uuid4().hex,
        embedding=packed(some_vector(ordinal)),
    )


@pytest.fixture
async def servers(database: Database, tmp_path: Path) -> AsyncIterator[tuple[Server, Server]]:
    async with (
        opened_provider("inline::faiss", tmp_path / "one", saved_chunks_min=20) as one,
        opened_provider("inline::faiss", tmp_path / "two", flat_chunks_max=1) as two,
    ):
        yield Server(database, one), Server(database, two)


async def test_every_change_is_seen_by_the_next_search_of_any_server(servers: tuple[Server, Server]) -> None:
    store = await servers[0].stores.create(ALICE, NewStore("docs", "faiss", "m", DIMENSION))
    draw = random.Random(4)
    files: list[str] = []
    for turn in range(25):
        server = draw.choice(servers)
        action = draw.choice(["ingest", "ingest", "raw", "attributes", "detach", "again", "delete"])
        attributes: dict[str, Any] = {"n": turn % 7, "sprache": draw.choice(["größer 😀", "deutsch"])}
        if action == "ingest" or not files:
            files.append(f"file-{turn:032x}")
            await server.ingest(store, files[-1], draw.randint(1, 6), attributes)
        elif action == "raw":
            assert await server.chunks.add(
                store.id, [_record("raw", turn, attributes)], attachment=None, words=["word"]
            )
        elif action == "attributes":
            await server.files.set_attributes(ALICE, store.id, draw.choice(files), attributes)
        elif action == "again":
            file = draw.choice(files)
            await server.files.detach(ALICE, store.id, file)
            await server.ingest(store, file, 2, attributes)
        elif action == "detach":
            await server.files.detach(ALICE, store.id, files.pop(draw.randrange(len(files))))
        else:
            await server.chunks.delete_document(store.id, "raw")
        for wanted in FILTERS:
            expected = await server.expected(store, wanted)
            for asked in servers if turn % 3 == 0 else servers[:1]:
                assert await asked.found(store, wanted) == expected, (turn, action)


async def test_a_deleted_store_has_nothing(servers: tuple[Server, Server]) -> None:
    one, _ = servers
    store = await one.stores.create(ALICE, NewStore("docs", "faiss", "m", DIMENSION))
    await one.ingest(store, "file-" + "0" * 32, 30, {"n": 1})
    assert len(await one.found(store, None)) == 30
    index = Index(store.index_id, DIMENSION)
    version = (await one.stores.get(ALICE, store.id)).version
    await one.stores.delete(ALICE, store.id)
    await one.provider.delete_index(index)
    query = VectorQuery(packed(some_vector(1)), 10, None, version)
    assert await one.provider.search_vectors(index, query) == []
