"""How a batch of a file's chunks gets into the index and the rows."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from llama_stack.rag.chunk import TextChunk
from llama_stack.rag.embed import Embedded
from llama_stack.rag.ports import InsertMetrics
from llama_stack.rag.retry import Patience, retried
from llama_stack.rag.words import indexed_words
from llama_stack.storage.sql.knowledge.chunks import ChunkTable
from llama_stack.storage.sql.knowledge.files import AttachedFileTable
from llama_stack.storage.sql.knowledge.records import AttachedFile, Attachment, ChunkRecord, StoreRecord
from llama_stack_api.errors import NotFound
from llama_stack_api.ports.vector_io import FollowsRows, Index, IndexedChunk, KeywordIndex, VectorIndex
from llama_stack_api.principal import Call, Principal

NAMESPACE: Final = uuid.UUID("6d9d6cbe-6d0c-5e0b-9c3e-6f1f0a1f7f57")
"""Of the ids of chunks; never to be changed."""


class Gone(Exception):
    """The file was detached or cancelled, or its store is gone: there is nobody to ingest it for."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk with all that is stored of it. `context` stands before its text where that is embedded and searched."""

    ordinal: int
    chunk: TextChunk
    context: str | None
    embedded: Embedded


def embedded_text(text: str, context: str | None) -> str:
    return f"{context}\n\n{text}" if context else text


def chunk_id(attachment: str, ordinal: int) -> str:
    """The same in every attempt, and another one when the file is attached anew."""
    return str(uuid.uuid5(NAMESPACE, f"{attachment}:{ordinal}"))


class Indexing:
    """The writing side of one file's ingestion."""

    def __init__(
        self,
        files: AttachedFileTable,
        chunks: ChunkTable,
        index: VectorIndex,
        store: StoreRecord,
        file: AttachedFile,
        patience: Patience,
        metrics: InsertMetrics | None = None,
    ) -> None:
        self.attachment = Attachment(file.file, file.attachment)
        self._files = files
        self._chunks = chunks
        self._provider = index
        self._index = Index(store.index_id, store.embedding_dimension)
        self._store = store
        self._file = file
        self._patience = patience
        self._metrics = metrics

    async def write(self, pieces: Sequence[Piece], call: Call) -> None:
        """Index them, then commit them: from then on they are found. `Gone` if nobody wants them any more."""
        started = time.perf_counter()
        words = await asyncio.to_thread(_words, pieces)
        attributes = self._file.attributes
        records = [self._record(piece) for piece in pieces]
        indexed = [
            IndexedChunk(record.id, record.document, piece.embedded.vector, text, attributes)
            for record, piece, text in zip(records, pieces, words, strict=True)
        ]
        await retried(lambda: self._provider.upsert_chunks(self._index, indexed), self._patience, call.deadline)
        has_keywords = isinstance(self._provider, KeywordIndex)
        added = await retried(
            lambda: self._chunks.add(
                self._store.id,
                records,
                attachment=self.attachment,
                usage_bytes=sum(len(record.text.encode()) + len(record.embedding or b"") for record in records),
                words=None if has_keywords else words,
            ),
            self._patience,
            call.deadline,
        )
        if not added:
            await self._take_back(call.principal)
            raise Gone
        if not isinstance(self._provider, FollowsRows):  # the rows have the attributes of the file
            await self._catch_up(attributes, call)
        if self._metrics is not None:
            self._metrics.inserted(self._store.provider, len(pieces), time.perf_counter() - started)

    async def _catch_up(self, used: dict[str, str | float | bool], call: Call) -> None:
        """Attributes that were set meanwhile were told to the provider before these chunks, perhaps."""
        current = await self._files.current(self._store.id, self.attachment)
        if current is None:
            raise Gone
        self._file = current
        if current.attributes != used:
            await retried(
                lambda: self._provider.set_attributes(self._index, current.file, current.attributes),
                self._patience,
                call.deadline,
            )

    async def _take_back(self, principal: Principal) -> None:
        """The deletion was told to the provider before these chunks, perhaps. Where the file is attached anew its new
        chunks go by the same name; then ours stay, and lead to no row."""
        try:
            attached = await self._files.get(principal, self._store.id, self._file.file)
        except NotFound:
            attached = None
        if attached is None or attached.attachment == self._file.attachment:
            await self._provider.delete_document(self._index, self._file.file)

    def _record(self, piece: Piece) -> ChunkRecord:
        return ChunkRecord(
            id=chunk_id(self._file.attachment, piece.ordinal),
            document=self._file.file,
            ordinal=piece.ordinal,
            text=piece.chunk.text,
            context=piece.context,
            start=piece.chunk.start,
            end=piece.chunk.end,
            page=piece.chunk.page,
            tokens=piece.chunk.tokens,
            attributes=self._file.attributes,
            extra={"next_pages": piece.chunk.next_pages} if piece.chunk.next_pages else None,
            digest=piece.embedded.digest,
            embedding=piece.embedded.vector,
        )


def _words(pieces: Sequence[Piece]) -> list[str]:
    return [indexed_words(embedded_text(piece.chunk.text, piece.context)) for piece in pieces]
