"""Adding chunks in one transaction. What is new carries the version that the transaction gives to the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from llama_stack.storage.sql.database import Database, Params, Prepared
from llama_stack.storage.sql.knowledge.removal import INDEXED, WORDS_INDEX, lock, remove_numbered, uncount_words
from llama_stack.storage.sql.knowledge.rows import LIVE, OF_STORE, new, strings
from llama_stack.storage.sql.tables import CHUNK_WORDS, CHUNKS, STORE_FILES
from llama_stack.storage.sql.tables import VECTOR_STORES as STORES

_GIVEN: Final = tuple(column for column in CHUNKS.c if column.name not in ("number", "store", "version"))
_WORDS: Final = (CHUNKS.c.id, CHUNK_WORDS.c.length, CHUNK_WORDS.c.words)
_HELD = sa.exists(
    sa.select(STORE_FILES.c.file).where(
        STORE_FILES.c.store == OF_STORE,
        STORE_FILES.c.file == sa.bindparam("of_file"),
        STORE_FILES.c.attachment == sa.bindparam("of_attachment"),
        STORE_FILES.c.status == "in_progress",
    )
)
_KEY = sa.bindparam("key", type_=sa.Text)


class Adding:
    """`attached`: chunks of a file in progress, added once. Else: of a client, in place of those with the same ids.

    On PostgreSQL one statement takes all chunks, as arrays; on SQLite one takes one.
    """

    def __init__(self, database: Database, *, attached: bool) -> None:
        self._arrays = database.shared
        self._attached = attached
        allowed = (*LIVE, _HELD) if attached else LIVE
        statements = [lock(STORES.c.id == OF_STORE), _raise(allowed)]
        if not attached:
            same_ids = sa.select(CHUNKS.c.number).where(
                CHUNKS.c.store == OF_STORE,
                CHUNKS.c.id.in_(strings(database, "ids")),
                sa.exists(sa.select(STORES.c.id).where(*allowed)),
            )
            statements += [_uncount(same_ids), *remove_numbered(database, same_ids)]
        self._first = [database.prepare(statement) for statement in statements]
        self._insert = database.prepare(_insert(database, allowed, attached=attached))
        self._insert_words = database.prepare(_insert_words(database, allowed))
        added = _added(allowed)
        last = [] if database.shared else [_index_words(added)]
        last += [_count_done(added)] if attached else []
        last += [_count(added)]
        self._last = [database.prepare(statement) for statement in last]

    def steps(
        self, rows: Sequence[Mapping[str, Any]], words: Mapping[str, str], params: Params
    ) -> list[tuple[Prepared, Params]]:
        """`words` are by id. The second gives a row if it is allowed; else none does anything."""
        with_words = [
            {"id": chunk_id, "length": text.count(" ") + 1, "words": text} for chunk_id, text in words.items()
        ]
        return [
            *((step, params) for step in self._first),
            *((self._insert, {**params, **each}) for each in self._given(_GIVEN, rows)),
            *((self._insert_words, {**params, **each}) for each in self._given(_WORDS, with_words)),
            *((step, params) for step in self._last),
        ]

    def _given(self, columns: Sequence[sa.Column[Any]], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        if self._arrays:
            return [{f"new_{column.name}s": [row[column.name] for row in rows] for column in columns}] if rows else []
        return [{f"new_{name}": value for name, value in row.items()} for row in rows]


def _raise(allowed: Sequence[sa.ColumnElement[bool]]) -> Any:
    return sa.update(STORES).where(*allowed).values(version=STORES.c.version + 1).returning(STORES.c.version)


def _uncount(numbers: sa.Select[Any]) -> Any:
    return sa.update(STORES).where(STORES.c.id == OF_STORE).values(uncount_words(numbers))


def _given(database: Database, columns: Sequence[sa.Column[Any]]) -> tuple[sa.FromClause | None, list[Any]]:
    """What is given: from arrays a table, else the parameters themselves."""
    if not database.shared:
        return None, [new(column) for column in columns]
    from sqlalchemy.dialects.postgresql import ARRAY

    arrays = [sa.bindparam(f"new_{column.name}s", type_=ARRAY(column.type)) for column in columns]
    table = sa.func.unnest(*arrays).table_valued(*(sa.column(column.name, column.type) for column in columns))
    given = table.render_derived("given")
    return given, [given.c[column.name] for column in columns]


def _insert(database: Database, allowed: Sequence[sa.ColumnElement[bool]], *, attached: bool) -> sa.Executable:
    table, values = _given(database, _GIVEN)
    if attached:  # they may have been changed since the chunks were made
        values[_GIVEN.index(CHUNKS.c.attributes)] = _attributes()
    rows = sa.select(STORES.c.id, STORES.c.version, *values).where(*allowed)
    if table is not None:
        rows = rows.select_from(table.join(STORES, sa.true()))
    names = ["store", "version", *(column.name for column in _GIVEN)]
    statement: sa.Executable = (
        database.insert(CHUNKS)
        .from_select(names, rows)
        .on_conflict_do_nothing(index_elements=[CHUNKS.c.store, CHUNKS.c.id])
    )
    return statement


def _attributes() -> sa.ScalarSelect[str]:
    this = (STORE_FILES.c.store == OF_STORE, STORE_FILES.c.file == sa.bindparam("of_file"))
    return sa.select(STORE_FILES.c.attributes).where(*this).scalar_subquery()


def _insert_words(database: Database, allowed: Sequence[sa.ColumnElement[bool]]) -> sa.Executable:
    table, (chunk_id, length, words) = _given(database, _WORDS)
    this = sa.and_(CHUNKS.c.store == STORES.c.id, CHUNKS.c.id == chunk_id, CHUNKS.c.version == STORES.c.version)
    source = STORES.join(CHUNKS, this) if table is None else STORES.join(table, sa.true()).join(CHUNKS, this)
    rows = sa.select(CHUNKS.c.number, _KEY, length, words).select_from(source).where(*allowed)
    return sa.insert(CHUNK_WORDS).from_select(["number", "key", "length", "words"], rows)


def _added(allowed: Sequence[sa.ColumnElement[bool]]) -> sa.Select[Any]:
    this = sa.and_(CHUNKS.c.store == STORES.c.id, CHUNKS.c.version == STORES.c.version)
    return sa.select(CHUNKS.c.number).select_from(STORES.join(CHUNKS, this)).where(*allowed)


def _index_words(added: sa.Select[Any]) -> Any:
    rows = sa.select(CHUNK_WORDS.c.number, INDEXED).where(CHUNK_WORDS.c.number.in_(added))
    return sa.insert(WORDS_INDEX).from_select(["rowid", "words"], rows)


def _usage(added: sa.Select[Any]) -> sa.ColumnElement[int]:
    """All of it if all chunks are new; of what is there already, nothing."""
    usage = sa.bindparam("usage_bytes", type_=sa.BigInteger)
    return usage * _many(added) // sa.bindparam("given", type_=sa.BigInteger)


def _many(added: sa.Select[Any]) -> sa.ScalarSelect[int]:
    return sa.select(sa.func.count()).select_from(added.subquery("added")).scalar_subquery()


def _count_done(added: sa.Select[Any]) -> Any:
    done = {
        "chunks_done": STORE_FILES.c.chunks_done + _many(added),
        "usage_bytes": STORE_FILES.c.usage_bytes + _usage(added),
    }
    this = (STORE_FILES.c.store == OF_STORE, STORE_FILES.c.file == sa.bindparam("of_file"))
    return sa.update(STORE_FILES).where(*this).values(done)


def _count(added: sa.Select[Any]) -> Any:
    of = CHUNK_WORDS.c.number.in_(added)
    words = sa.select(sa.func.coalesce(sa.func.sum(CHUNK_WORDS.c.length), 0)).where(of).scalar_subquery()
    chunks = sa.select(sa.func.count()).select_from(CHUNK_WORDS).where(of).scalar_subquery()
    return (
        sa.update(STORES)
        .where(STORES.c.id == OF_STORE)
        .values(
            usage_bytes=STORES.c.usage_bytes + _usage(added),
            chunks=STORES.c.chunks + chunks,
            words=STORES.c.words + sa.cast(words, sa.BigInteger),
        )
    )
