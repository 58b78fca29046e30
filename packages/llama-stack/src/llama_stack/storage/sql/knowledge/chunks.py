"""Chunks: the rows that a search shows and every index is built from.

NUL and lone surrogates in texts become U+FFFD, one character each, so that spans stay true.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from llama_stack.storage.sql.database import Database
from llama_stack.storage.sql.knowledge.adding import Adding
from llama_stack.storage.sql.knowledge.records import Attachment, ChunkRecord, FoundChunk
from llama_stack.storage.sql.knowledge.removal import REMOVED_AT_ONCE, Removal, Sweep, key_of, lock
from llama_stack.storage.sql.knowledge.rows import (
    CHUNK,
    OF_STORE,
    SEEN,
    checked_attributes,
    checked_text,
    chunk_of,
    cleaned_text,
    encode,
    is_id,
    is_seen,
    one_of,
)
from llama_stack.storage.sql.tables import CHUNK_SETS, CHUNKS, STORE_FILES
from llama_stack.storage.sql.tables import VECTOR_STORES as STORES
from llama_stack_api.errors import InvalidRequest

ADD_MAX: Final = 1000
READ_MAX: Final = 1001
"""Rows of one read: a page, and one more that tells whether there is another."""


class ChunkTable:
    """Asked for stores whose owner was checked before."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._adding = Adding(database, attached=True)
        self._replacing = Adding(database, attached=False)
        of_document = (CHUNK_SETS.c.store == OF_STORE, CHUNK_SETS.c.document == sa.bindparam("of_document"), SEEN)
        self._lock = database.prepare(lock(STORES.c.id == OF_STORE))
        self._removal = Removal(database, sa.select(CHUNK_SETS.c.document).where(*of_document).distinct(), files=False)
        self._sweep = Sweep(database)
        file = sa.and_(STORE_FILES.c.store == CHUNKS.c.store, STORE_FILES.c.file == CHUNKS.c.document)
        self._found = (
            sa.select(*CHUNK, STORE_FILES.c.filename)
            .select_from(CHUNKS.outerjoin(STORE_FILES, file))
            .where(CHUNKS.c.store == OF_STORE, one_of(database, CHUNKS.c.id, "ids"))
        )
        self._of_document = _of_document(sa.select(CHUNK_SETS.c.number).where(*of_document))
        self._known = _known(database)

    async def add(
        self,
        store_id: str,
        chunks: Sequence[ChunkRecord],
        *,
        attachment: Attachment | None,
        usage_bytes: int = 0,
        words: Sequence[str] | None = None,
    ) -> bool:
        """One transaction: the rows, their keyword index, the store's version, `chunks_done` and `usage_bytes`.

        False, and nothing written, if the attachment is not in progress any more or the store is gone or expired.
        Chunks that are there already, by their ids, stay and count nothing; with `attachment` None they are replaced.
        `words` are the normalised words of each chunk with single spaces between them; None: no keyword index is kept.
        At most `ADD_MAX` chunks.
        """
        if len(chunks) > ADD_MAX:
            raise InvalidRequest(f"at most {ADD_MAX} chunks can be added at once, not {len(chunks)}", param="chunks")
        params: dict[str, Any] = {
            "of_store": store_id,
            "now": self._clock(),
            "key": key_of(store_id),
            "usage_bytes": usage_bytes,
            "given": max(1, len(chunks)),
        }
        if attachment is not None:
            params |= {"of_file": attachment.file, "of_attachment": attachment.id}
        else:
            params["ids"] = encode([chunk.id for chunk in chunks])
        rows = [_row(chunk) for chunk in chunks]
        if attachment is None:
            params["sets"] = encode(_sets(rows))
        words_of = (
            {chunk.id: text for chunk, text in zip(chunks, words, strict=True) if text} if words is not None else {}
        )
        adding = self._adding if attachment is not None else self._replacing
        _, raised, *_ = await self._database.write(*adding.steps(rows, words_of, params))
        return bool(raised.rows)

    async def known_embeddings(self, digests: Collection[str]) -> dict[str, bytes]:
        rows = await self._database.read(self._known, {"digests": encode(sorted(set(digests)))})
        return dict(rows)

    async def found(self, store_id: str, ids: Sequence[str]) -> dict[str, FoundChunk]:
        """The rows of hits, by one read; what was deleted or is another store's is not there."""
        rows = await self._database.read(self._found, {"of_store": store_id, "ids": encode(ids)})
        return {row[0]: FoundChunk(chunk_of(row[:-1]), row[-1]) for row in rows if is_seen(row[:-1])}

    async def of_document(
        self, store_id: str, document: str, *, after_ordinal: int | None = None, limit: int = 100
    ) -> list[ChunkRecord]:
        """In the order of the document, from behind `after_ordinal`."""
        if not is_id(document):
            return []
        after = -1 if after_ordinal is None else after_ordinal
        params = {"of_store": store_id, "of_document": document, "after_ordinal": after}
        rows = await self._database.read(self._of_document, {**params, "rows_max": min(limit, READ_MAX)})
        return [chunk_of(row[:-1], row[-1]) for row in rows if is_seen(row[:-1])]

    async def delete_document(self, store_id: str, document: str) -> bool:
        """A document that is no attached file: its chunks go, a deletion is among the changes. False if it has none."""
        if not is_id(document):
            return False
        params = {"of_store": store_id, "of_document": document}
        removing = self._removal.steps(store_id, self._clock(), params)
        _, counted, *_ = await self._database.write((self._lock, params), *removing)
        return bool(counted.rows)

    async def sweep(self, rows_max: int = REMOVED_AT_ONCE) -> int:
        """Take down chunks, of any store, that nobody sees any more; how many rows. Fewer than `rows_max`: that was
        all. Writers on SQLite wait meanwhile: let them in before the next."""
        return await self._sweep.remove(rows_max)


def _of_document(sets: sa.Select[Any]) -> sa.Select[Any]:
    """Their places are found in the index alone."""
    place = (CHUNKS.c.ordinal, CHUNKS.c.number)
    some = (
        sa.select(*place)
        .where(CHUNKS.c.chunk_set.in_(sets), CHUNKS.c.ordinal > sa.bindparam("after_ordinal", type_=sa.BigInteger))
        .order_by(*place)
        .limit(sa.bindparam("rows_max", type_=sa.Integer))
        .subquery("some")
    )
    joined = CHUNKS.join(some, some.c.number == CHUNKS.c.number)
    return sa.select(*CHUNK, CHUNKS.c.embedding).select_from(joined).order_by(*place)


def _sets(rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, str]]:
    """Of chunks that a client wrote: each document and attributes once."""
    names = ("document", "key", "attributes")
    return list({(row["document"], row["key"]): {name: row[name] for name in names} for row in rows}.values())


def _row(chunk: ChunkRecord) -> dict[str, Any]:
    attributes = checked_attributes(chunk.attributes)
    return {
        "key": hashlib.sha256(attributes.encode()).hexdigest()[:32],
        "id": checked_text(chunk.id, "chunk_id"),
        "document": checked_text(chunk.document, "document_id"),
        "ordinal": chunk.ordinal,
        "start": chunk.start,
        "end": chunk.end,
        "page": chunk.page,
        "tokens": chunk.tokens,
        "digest": chunk.digest,
        "attributes": attributes,
        "extra": None if chunk.extra is None else encode(chunk.extra),
        "context": None if chunk.context is None else cleaned_text(chunk.context),
        "embedding": chunk.embedding,
        "text": cleaned_text(chunk.text),
    }


def _known(database: Database) -> sa.Select[Any]:
    known = sa.and_(one_of(database, CHUNKS.c.digest, "digests"), CHUNKS.c.embedding.is_not(None))
    first = sa.select(sa.func.min(CHUNKS.c.number)).where(known).group_by(CHUNKS.c.digest)
    return sa.select(CHUNKS.c.digest, CHUNKS.c.embedding).where(CHUNKS.c.number.in_(first))
