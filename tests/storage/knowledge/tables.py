"""All tables of knowledge over one database, and what the tests of them put in."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from llama_stack.storage.sql.database import Database
from llama_stack.storage.sql.knowledge.batches import FileBatchTable
from llama_stack.storage.sql.knowledge.changes import StoreChanges
from llama_stack.storage.sql.knowledge.chunks import ChunkTable
from llama_stack.storage.sql.knowledge.files import AttachedFileTable
from llama_stack.storage.sql.knowledge.records import (
    AttachedFile,
    Attachment,
    ChunkRecord,
    FileCounts,
    NewAttachment,
    NewStore,
    StoreRecord,
)
from llama_stack.storage.sql.knowledge.rows import SEEN_CHUNKS
from llama_stack.storage.sql.knowledge.stores import VectorStoreTable
from llama_stack.storage.sql.knowledge.words import SqlKeywordIndex
from llama_stack.storage.sql.tables import CHUNK_SETS, CHUNK_WORDS, CHUNKS, STORE_FILES, VECTOR_STORES
from llama_stack_api.principal import Principal

ALICE = Principal(id="alice", tenant="acme")
BOB = Principal(id="bob", tenant="acme")
OTHER_ALICE = Principal(id="alice", tenant="umbrella")
CHUNKING = {"type": "static", "max": 800}
NEW_STORE = NewStore(name="docs", provider="faiss", embedding_model="m", embedding_dimension=2)


class KnowledgeTables:
    """`now` is the time; each look at the clock moves it by a millisecond."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = 1000.0
        self.stores = VectorStoreTable(database, clock=self.tick)
        self.files = AttachedFileTable(database, clock=self.tick)
        self.batches = FileBatchTable(database, clock=self.tick)
        self.chunks = ChunkTable(database, clock=self.tick)
        self.changes = StoreChanges(database, clock=self.tick)
        self.words = SqlKeywordIndex(database)

    def tick(self) -> float:
        self.now += 0.001
        return self.now

    async def store(self, principal: Principal = ALICE, **given: object) -> StoreRecord:
        return await self.stores.create(principal, replace(NEW_STORE, **given))  # type: ignore[arg-type]

    async def attach(self, store: StoreRecord, *files: str, batch: str | None = None) -> Sequence[AttachedFile]:
        owner = Principal(id=store.owner, tenant=store.tenant)
        new = [NewAttachment(file, f"{file}.txt", {"lang": "en"}, CHUNKING) for file in files]
        return await self.files.attach(owner, store.id, new, batch=batch)

    async def ingest(
        self, store: StoreRecord, file: str, texts: Sequence[str], *, complete: bool = True
    ) -> AttachedFile:
        """A file with those chunks, whose words are those of the texts."""
        (attached,) = await self.attach(store, file)
        made = chunks(attached, texts)
        assert await self.chunks.add(store.id, made, attachment=of(attached), usage_bytes=10, words=texts)
        assert not complete or await self.files.complete(store.id, of(attached))
        return attached

    async def recount(self, store_id: str) -> tuple[FileCounts, int, int, int]:
        """What the counters of a store should say: of files by status, bytes, chunks with words, words."""
        files = STORE_FILES.c
        by_status = await self.database.read(
            sa.select(files.status, sa.func.count()).where(files.store == store_id).group_by(files.status)
        )
        used = sa.select(sa.func.coalesce(sa.func.sum(files.usage_bytes), 0)).where(files.store == store_id)
        words = (
            sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(CHUNK_WORDS.c.length), 0))
            .select_from(SEEN_CHUNKS.join(CHUNK_WORDS, CHUNKS.c.number == CHUNK_WORDS.c.number))
            .where(CHUNKS.c.store == store_id)
        )
        of_sets = [sa.func.coalesce(sa.func.sum(CHUNK_SETS.c[name]), 0) for name in ("chunks", "words")]
        ((with_words, length),) = await self.database.read(words)
        ((in_sets, length_of_sets),) = await self.database.read(
            sa.select(*of_sets).where(CHUNK_SETS.c.store == store_id, CHUNK_SETS.c.removed_at.is_(None))
        )
        assert (with_words, length) == (int(in_sets), int(length_of_sets)), "each set knows its own"
        ((usage,),) = await self.database.read(used)
        return FileCounts(**dict(by_status)), int(usage), with_words, int(length)

    async def counted(self, store_id: str) -> tuple[FileCounts, int, int, int]:
        """What they say."""
        stores = VECTOR_STORES.c
        names = [f"files_{status}" for status in ("in_progress", "completed", "failed", "cancelled")]
        columns = [*(stores[name] for name in names), stores.usage_bytes, stores.chunks, stores.words]
        (row,) = await self.database.read(sa.select(*columns).where(stores.id == store_id))
        return FileCounts(*row[:4]), row[4], row[5], row[6]


def of(file: AttachedFile) -> Attachment:
    return Attachment(file.file, file.attachment)


def vector(*numbers: float) -> bytes:
    return struct.pack(f"<{len(numbers)}f", *numbers)


def chunks(file: AttachedFile, texts: Sequence[str], *, first: int = 0) -> list[ChunkRecord]:
    return [
        chunk(text, document=file.file, ordinal=ordinal, name=f"{file.attachment}:{ordinal}")
        for ordinal, text in enumerate(texts, first)
    ]


def chunk(text: str, *, document: str = "doc", ordinal: int = 0, name: str = "", **given: object) -> ChunkRecord:
    made = ChunkRecord(
        id=str(uuid.uuid5(uuid.NAMESPACE_OID, name or text)),
        document=document,
        ordinal=ordinal,
        text=text,
        context=None,
        start=0,
        end=len(text),
        page=None,
        tokens=len(text.split()),
        attributes={"lang": "en"},
        extra=None,
        digest=f"digest of {text}",
        embedding=vector(float(ordinal), 1.0),
    )
    return replace(made, **given)  # type: ignore[arg-type]
