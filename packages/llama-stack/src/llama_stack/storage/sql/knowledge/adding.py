"""Adding chunks in one transaction. What is new carries the version that the transaction gives to the store, and is of
the set of its document and attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from llama_stack.storage.sql.database import Database, Params, Prepared
from llama_stack.storage.sql.knowledge.removal import INDEXED, WORDS_INDEX, lock, remove_numbered
from llama_stack.storage.sql.knowledge.rows import LIVE, NOW, OF_STORE, SEEN, SEEN_CHUNKS, objects, strings
from llama_stack.storage.sql.parameters import new
from llama_stack.storage.sql.tables import CHUNK_SETS, CHUNK_WORDS, CHUNKS, STORE_FILES
from llama_stack.storage.sql.tables import VECTOR_STORES as STORES

_OWN: Final = ("number", "store", "version", "chunk_set")
_GIVEN: Final = tuple(column for column in CHUNKS.c if column.name not in _OWN)
_GIVEN_BY_CLIENT: Final = (*_GIVEN, CHUNK_SETS.c.key)
_SETS: Final = {name: sa.Text() for name in ("document", "key", "attributes")}
_WORDS: Final = (CHUNKS.c.id, CHUNK_WORDS.c.length, CHUNK_WORDS.c.words)
_OF_FILE = sa.bindparam("of_file", type_=sa.Text)
_HELD = sa.exists(
    sa.select(STORE_FILES.c.file).where(
        STORE_FILES.c.store == OF_STORE,
        STORE_FILES.c.file == _OF_FILE,
        STORE_FILES.c.attachment == sa.bindparam("of_attachment"),
        STORE_FILES.c.status == "in_progress",
    )
)
_KEY = sa.bindparam("key", type_=sa.Text)


class Adding:
    """`attached`: chunks of a file in progress, added once, with the file's attributes. Else: of a client, in place of
    those with the same ids.

    On PostgreSQL one statement takes all chunks, as arrays; on SQLite one takes one.
    """

    def __init__(self, database: Database, *, attached: bool) -> None:
        self._arrays = database.shared
        self._columns = _GIVEN if attached else _GIVEN_BY_CLIENT
        allowed = (*LIVE, _HELD) if attached else LIVE
        statements = [lock(STORES.c.id == OF_STORE), _raise(allowed)]
        statements += [_set_of_file(allowed)] if attached else _replace(database, allowed)
        self._first = [database.prepare(statement) for statement in statements]
        self._insert = database.prepare(_insert(database, allowed, attached=attached))
        self._insert_words = database.prepare(_insert_words(database, allowed))
        added = _added(allowed)
        last = [] if database.shared else [_index_words(added)]
        last += [_count_set(allowed), _count(added), *([_count_done(added)] if attached else [])]
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
            *((self._insert, {**params, **each}) for each in self._given(self._columns, rows)),
            *((self._insert_words, {**params, **each}) for each in self._given(_WORDS, with_words)),
            *((step, params) for step in self._last),
        ]

    def _given(self, columns: Sequence[sa.Column[Any]], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        if self._arrays:
            return [{f"new_{column.name}s": [row[column.name] for row in rows] for column in columns}] if rows else []
        return [{f"new_{name}": value for name, value in row.items()} for row in rows]


def _raise(allowed: Sequence[sa.ColumnElement[bool]]) -> Any:
    return sa.update(STORES).where(*allowed).values(version=STORES.c.version + 1).returning(STORES.c.version)


def _set_of_file(allowed: Sequence[sa.ColumnElement[bool]]) -> sa.Executable:
    this = (STORE_FILES.c.store == OF_STORE, STORE_FILES.c.file == _OF_FILE)
    attributes = sa.select(STORE_FILES.c.attributes).where(*this).scalar_subquery()
    there = sa.exists(_set(_OF_FILE, None))
    row = {**_NEW_SET, "document": _OF_FILE, "attributes": attributes}
    return sa.insert(CHUNK_SETS).from_select(list(row), sa.select(*row.values()).where(*allowed, ~there))


def _replace(database: Database, allowed: Sequence[sa.ColumnElement[bool]]) -> list[sa.Executable]:
    """What has the same ids goes, and sets that are empty then; the sets of what comes are made."""
    same_ids = sa.select(CHUNKS.c.number).where(
        CHUNKS.c.store == OF_STORE,
        CHUNKS.c.id.in_(strings(database, "ids")),
        sa.exists(sa.select(STORES.c.id).where(*allowed)),
    )
    seen = SEEN_CHUNKS.join(CHUNK_WORDS, CHUNK_WORDS.c.number == CHUNKS.c.number)
    counts = _counts(seen, CHUNKS.c.number.in_(same_ids))
    by_set = sa.select(CHUNKS.c.chunk_set, *_counted()).select_from(seen).where(CHUNKS.c.number.in_(same_ids))
    lost = by_set.group_by(CHUNKS.c.chunk_set).subquery("lost")
    sets = sa.select(CHUNKS.c.chunk_set).where(CHUNKS.c.number.in_(same_ids))
    kept = sa.exists(
        sa.select(CHUNKS.c.number).where(CHUNKS.c.chunk_set == CHUNK_SETS.c.number, CHUNKS.c.number.not_in(same_ids))
    )
    given = objects(database, "sets", _SETS)
    row = {**_NEW_SET, **{name: given.c[name] for name in _SETS}}
    made = sa.select(*row.values()).select_from(STORES.join(given, sa.true()))
    made = made.where(*allowed, ~sa.exists(_set(given.c.document, given.c.key).correlate(given)))
    return [
        sa.update(STORES)
        .where(STORES.c.id == OF_STORE)
        .values({name: STORES.c[name] - count for name, count in counts.items()}),
        sa.update(CHUNK_SETS)
        .where(CHUNK_SETS.c.number == lost.c.chunk_set)
        .values({name: CHUNK_SETS.c[name] - lost.c[name] for name in counts}),
        sa.update(CHUNK_SETS).where(CHUNK_SETS.c.number.in_(sets), SEEN, ~kept).values(removed_at=NOW),
        *remove_numbered(database, same_ids),
        sa.insert(CHUNK_SETS).from_select(list(row), made),
    ]


_NEW_SET: Final[dict[str, Any]] = {
    "store": STORES.c.id,
    "chunks": sa.literal_column("0"),
    "words": sa.literal_column("0"),
}


def _set(document: sa.ColumnElement[str], key: sa.ColumnElement[str] | None) -> sa.Select[Any]:
    """The set that a document's chunks go to; `key` None: an attached file's."""
    sets = CHUNK_SETS.alias("its_set")
    of_key = sets.c.key.is_(None) if key is None else sets.c.key == key
    return sa.select(sets.c.number).where(
        sets.c.store == OF_STORE, sets.c.document == document, of_key, sets.c.removed_at.is_(None)
    )


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
    table, values = _given(database, _GIVEN if attached else _GIVEN_BY_CLIENT)
    of_set = _set(_OF_FILE, None) if attached else _set(values[_GIVEN.index(CHUNKS.c.document)], values.pop())
    if table is not None and not attached:
        of_set = of_set.correlate(table)
    rows = sa.select(STORES.c.id, STORES.c.version, of_set.limit(1).scalar_subquery(), *values).where(*allowed)
    if table is not None:
        rows = rows.select_from(table.join(STORES, sa.true()))
    names = ["store", "version", "chunk_set", *(column.name for column in _GIVEN)]
    statement: sa.Executable = (
        database.insert(CHUNKS)
        .from_select(names, rows)
        .on_conflict_do_nothing(index_elements=[CHUNKS.c.store, CHUNKS.c.id])
    )
    return statement


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
    this = (STORE_FILES.c.store == OF_STORE, STORE_FILES.c.file == _OF_FILE)
    return sa.update(STORE_FILES).where(*this).values(done)


def _count(added: sa.Select[Any]) -> Any:
    counts = _counts(CHUNK_WORDS, CHUNK_WORDS.c.number.in_(added))
    values = {name: STORES.c[name] + count for name, count in counts.items()}
    values["usage_bytes"] = STORES.c.usage_bytes + _usage(added)
    return sa.update(STORES).where(STORES.c.id == OF_STORE).values(values)


def _count_set(allowed: Sequence[sa.ColumnElement[bool]]) -> Any:
    this = sa.and_(CHUNKS.c.store == STORES.c.id, CHUNKS.c.version == STORES.c.version)
    words = STORES.join(CHUNKS, this).join(CHUNK_WORDS, CHUNK_WORDS.c.number == CHUNKS.c.number)
    by_set = sa.select(CHUNKS.c.chunk_set, *_counted()).select_from(words).where(*allowed)
    won = by_set.group_by(CHUNKS.c.chunk_set).subquery("won")
    values = {name: CHUNK_SETS.c[name] + won.c[name] for name in ("chunks", "words")}
    return sa.update(CHUNK_SETS).where(CHUNK_SETS.c.number == won.c.chunk_set).values(values)


def _counted() -> tuple[sa.ColumnElement[int], ...]:
    length = sa.func.coalesce(sa.func.sum(CHUNK_WORDS.c.length), 0)
    return sa.func.count().label("chunks"), sa.cast(length, sa.BigInteger).label("words")


def _counts(source: sa.FromClause, which: sa.ColumnElement[bool]) -> dict[str, sa.ScalarSelect[int]]:
    """Of the chunks with words: how many, and how long they are."""
    return {column.name: sa.select(column).select_from(source).where(which).scalar_subquery() for column in _counted()}
