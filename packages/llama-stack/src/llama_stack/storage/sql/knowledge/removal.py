"""How chunks of documents go: out of sight, with counters and a change for each document, in one transaction, however
many they are; their rows and the keyword index by `Sweep`, in slices."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import sqlalchemy as sa

from llama_stack.storage.sql.database import Database, Params, Prepared
from llama_stack.storage.sql.knowledge.records import FileStatus
from llama_stack.storage.sql.knowledge.rows import NOW, OF_STORE, SEEN, STATUSES
from llama_stack.storage.sql.tables import CHUNK_SETS, CHUNK_WORDS, CHUNKS, STORE_CHANGES, STORE_FILES
from llama_stack.storage.sql.tables import VECTOR_STORES as STORES

REMOVED_AT_ONCE: Final = 50
"""Chunks of one transaction: SQLite's writer takes half a millisecond for each."""

_SPACE: sa.ColumnElement[str] = sa.literal_column("' '", sa.Text)
WORDS_INDEX = sa.table(
    "ls_chunk_words_index", sa.column("ls_chunk_words_index"), sa.column("rowid"), sa.column("words")
)
"""SQLite's: it keeps no text, so whoever removes a row says once more what was indexed."""
INDEXED = CHUNK_WORDS.c.key + sa.func.replace(CHUNK_WORDS.c.words, _SPACE, _SPACE + CHUNK_WORDS.c.key)
"""Each word with the store's key before it."""
INDEXED_WORDS = sa.func.ls_words_of(CHUNK_WORDS.c.key, CHUNK_WORDS.c.words)
"""The same as an array, as in PostgreSQL's index, which is used where this expression is."""


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


def _uncount_words(sets: sa.ColumnElement[bool]) -> dict[str, sa.ColumnElement[Any]]:
    """Of the store's counters for relevance, what is to be set before those chunks go."""
    values = {}
    for name in ("chunks", "words"):
        counted = sa.select(sa.func.coalesce(sa.func.sum(CHUNK_SETS.c[name]), 0)).where(sets).scalar_subquery()
        values[name] = STORES.c[name] - sa.cast(counted, sa.BigInteger)
    return values


class Removal:
    """The chunks of the `documents` that a select gives, in the store `of_store`.

    Where they are attached `files`, the store's counters lose them, or count them as `into`; their rows are the
    caller's to change, afterwards, so that `documents` gives the same up to the end.
    """

    def __init__(
        self, database: Database, documents: sa.Select[Any], *, files: bool = True, into: FileStatus | None = None
    ) -> None:
        sets = sa.and_(CHUNK_SETS.c.store == OF_STORE, CHUNK_SETS.c.document.in_(documents), SEEN)
        statements = [
            _count(documents, sets, files=files, into=into),
            _say(documents),
            sa.update(CHUNK_SETS).where(sets).values(removed_at=NOW),
        ]
        self._steps = [database.prepare(statement) for statement in statements]

    def steps(self, store_id: str, now: float, params: Params) -> list[tuple[Prepared, Params]]:
        """The first gives a row if there was anything to remove."""
        given = {**params, "of_store": store_id, "now": now}
        return [(step, given) for step in self._steps]


class Sweep:
    """Takes down what is removed. Several processes may do it at once, and it may end at any moment."""

    def __init__(self, database: Database) -> None:
        self._database = database
        removed = CHUNK_SETS.c.removed_at.is_not(None)
        rows_max = sa.bindparam("rows_max", type_=sa.Integer)
        self._removed = sa.select(CHUNK_SETS.c.number).where(removed).order_by(CHUNK_SETS.c.removed_at).limit(rows_max)
        of_set = sa.bindparam("of_set", type_=sa.BigInteger)
        this = CHUNK_SETS.c.number == of_set
        numbers = sa.select(CHUNKS.c.number).where(CHUNKS.c.chunk_set == of_set)
        numbers = numbers.order_by(CHUNKS.c.ordinal, CHUNKS.c.number).limit(rows_max)
        left = sa.exists(sa.select(CHUNKS.c.number).where(CHUNKS.c.chunk_set == of_set))
        statements = [
            sa.select(CHUNK_SETS.c.number).where(this).with_for_update(),
            *remove_numbered(database, numbers),
            sa.delete(CHUNK_SETS).where(this, ~left).returning(CHUNK_SETS.c.number),
        ]
        self._steps = [database.prepare(statement) for statement in statements]

    async def remove(self, rows_max: int = REMOVED_AT_ONCE) -> int:
        """How many rows are gone; if they are fewer than `rows_max`, nothing is left."""
        removed = 0
        for (number,) in await self._database.read(self._removed, {"rows_max": rows_max}):
            params = {"of_set": number, "rows_max": rows_max - removed}
            *_, chunks, sets = await self._database.write(*((step, params) for step in self._steps))
            removed += len(chunks.rows) + len(sets.rows)
            if removed >= rows_max:
                break
        return removed


def _count(
    documents: sa.Select[Any], sets: sa.ColumnElement[bool], *, files: bool, into: FileStatus | None
) -> sa.Executable:
    going = documents.subquery("going")
    many = sa.select(sa.func.count()).select_from(going).scalar_subquery()
    values = {"version": STORES.c.version + many, **_uncount_words(sets)}
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
