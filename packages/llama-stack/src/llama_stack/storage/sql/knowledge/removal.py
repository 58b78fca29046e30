"""How chunks of documents go: rows, keyword index, counters and a change for each document, in one transaction."""

from __future__ import annotations

import hashlib
from typing import Any

import sqlalchemy as sa

from llama_stack.storage.sql.database import Database, Params, Prepared
from llama_stack.storage.sql.knowledge.records import FileStatus
from llama_stack.storage.sql.knowledge.rows import NOW, OF_STORE, STATUSES
from llama_stack.storage.sql.tables import CHUNK_WORDS, CHUNKS, STORE_CHANGES, STORE_FILES
from llama_stack.storage.sql.tables import VECTOR_STORES as STORES

_SPACE: sa.ColumnElement[str] = sa.literal_column("' '", sa.Text)
WORDS_INDEX = sa.table(
    "ls_chunk_words_index", sa.column("ls_chunk_words_index"), sa.column("rowid"), sa.column("words")
)
"""SQLite's: it keeps no text, so whoever removes a row says once more what was indexed."""
INDEXED = CHUNK_WORDS.c.key + sa.func.replace(CHUNK_WORDS.c.words, _SPACE, _SPACE + CHUNK_WORDS.c.key)
"""As in PostgreSQL's index, which is used where this expression is."""
INDEXED_WORDS = sa.func.string_to_array(INDEXED, _SPACE)


def key_of(store_id: str) -> str:
    """What stands before the words of a store. Should two stores have the same, searches only take longer."""
    return hashlib.sha256(store_id.encode()).hexdigest()[:6]


def lock(*where: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """First in every transaction that changes what a store holds: the statements after it see what others, who had
    the store before, have committed."""
    return sa.select(STORES.c.state).where(*where).with_for_update()


def remove_numbered(database: Database, numbers: sa.Select[Any]) -> list[sa.Executable]:
    """The rows of the chunks that `numbers` selects, in this order."""
    in_words = CHUNK_WORDS.c.number.in_(numbers)
    statements: list[sa.Executable] = [sa.delete(CHUNK_WORDS).where(in_words)]
    if not database.shared:
        gone = sa.select(sa.literal_column("'delete'"), CHUNK_WORDS.c.number, INDEXED).where(in_words)
        names = ["ls_chunk_words_index", "rowid", "words"]
        statements.insert(0, sa.insert(WORDS_INDEX).from_select(names, gone))
    return [*statements, sa.delete(CHUNKS).where(CHUNKS.c.number.in_(numbers)).returning(CHUNKS.c.number)]


def uncount_words(numbers: sa.Select[Any]) -> dict[str, sa.ColumnElement[Any]]:
    """Of the store's counters for relevance, what is to be set before chunks go."""
    of = CHUNK_WORDS.c.number.in_(numbers)
    words = sa.select(sa.func.coalesce(sa.func.sum(CHUNK_WORDS.c.length), 0)).where(of).scalar_subquery()
    chunks = sa.select(sa.func.count()).select_from(CHUNK_WORDS).where(of).scalar_subquery()
    return {"chunks": STORES.c.chunks - chunks, "words": STORES.c.words - sa.cast(words, sa.BigInteger)}


class Removal:
    """The chunks of the `documents` that a select gives, in the store `of_store`.

    Where they are attached `files`, the store's counters lose them, or count them as `into`; their rows are the
    caller's to change, afterwards, so that `documents` gives the same up to the end.
    """

    def __init__(
        self, database: Database, documents: sa.Select[Any], *, files: bool = True, into: FileStatus | None = None
    ) -> None:
        numbers = sa.select(CHUNKS.c.number).where(CHUNKS.c.store == OF_STORE, CHUNKS.c.document.in_(documents))
        statements = [
            _count(documents, numbers, files=files, into=into),
            _say(documents),
            *remove_numbered(database, numbers),
        ]
        self._steps = [database.prepare(statement) for statement in statements]

    def steps(self, store_id: str, now: float, params: Params) -> list[tuple[Prepared, Params]]:
        """The first gives a row if there was anything to remove."""
        given = {**params, "of_store": store_id, "now": now}
        return [(step, given) for step in self._steps]


def _count(
    documents: sa.Select[Any], numbers: sa.Select[Any], *, files: bool, into: FileStatus | None
) -> sa.Executable:
    going = documents.subquery("going")
    many = sa.select(sa.func.count()).select_from(going).scalar_subquery()
    values = {"version": STORES.c.version + many, **uncount_words(numbers)}
    if files:
        own = (STORE_FILES.c.store == OF_STORE, STORE_FILES.c.file.in_(documents))
        used = sa.select(sa.func.coalesce(sa.func.sum(STORE_FILES.c.usage_bytes), 0)).where(*own).scalar_subquery()
        values["usage_bytes"] = STORES.c.usage_bytes - sa.cast(used, sa.BigInteger)
        for status in STATUSES:
            of_status = sa.select(sa.func.count()).select_from(STORE_FILES).where(*own, STORE_FILES.c.status == status)
            counter = STORES.c[f"files_{status}"]
            values[counter.name] = counter - of_status.scalar_subquery()
            if status == into:
                values[counter.name] = values[counter.name] + many
    return sa.update(STORES).where(STORES.c.id == OF_STORE, many > 0).values(values).returning(STORES.c.version)


def _say(documents: sa.Select[Any]) -> sa.Executable:
    going = documents.subquery("going")
    (document,) = going.c
    place: sa.ColumnElement[int] = sa.func.row_number().over(order_by=document)
    row = sa.select(STORES.c.id, STORES.c.version + 1 - place, document, sa.null(), sa.true(), NOW)
    row = row.select_from(going.join(STORES, STORES.c.id == OF_STORE))
    return sa.insert(STORE_CHANGES).from_select([column.name for column in STORE_CHANGES.c], row)
