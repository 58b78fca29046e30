"""What happened to the chunks of a store, in the order of its versions, for indexes that follow it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

import sqlalchemy as sa

from llama_stack.storage.sql.database import Database
from llama_stack.storage.sql.knowledge.records import PendingChange
from llama_stack.storage.sql.knowledge.removal import lock
from llama_stack.storage.sql.knowledge.rows import ATTRIBUTES, OF_STORE, decode
from llama_stack.storage.sql.tables import CHUNKS, STORE_CHANGES
from llama_stack.storage.sql.tables import VECTOR_STORES as STORES
from llama_stack_api.ports.vector_io import ChunkRow, Index, RowChange, RowDelta

SLICE: Final = 500
CHANGES_MAX: Final = 10_000
"""Of more, an index is sooner built anew."""

_SINCE = sa.bindparam("since", type_=sa.BigInteger)
_ROWS = sa.bindparam("rows_max", type_=sa.Integer)
_OLD = (STORE_CHANGES.c.pending.is_(sa.false()), STORE_CHANGES.c.at < sa.bindparam("before", type_=sa.Float(53)))


class StoreChanges:
    """Satisfies the port `ChunkRows`.

    Whoever changes chunks raises the version of the store's row first, and so holds it until the commit: whoever reads
    a version can read all that came with it or before.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        prepare = database.prepare
        self._since = _since()
        self._slice = _slice()
        self._pending = _pending().order_by(STORE_CHANGES.c.at, STORE_CHANGES.c.version).limit(_ROWS)
        of_document = (STORE_CHANGES.c.store == OF_STORE, STORE_CHANGES.c.document == sa.bindparam("of_document"))
        self._pending_of = _pending().where(*of_document).order_by(STORE_CHANGES.c.version).limit(_ROWS)
        this = (STORE_CHANGES.c.store == OF_STORE, STORE_CHANGES.c.version == sa.bindparam("of_version"))
        self._confirm = prepare(sa.update(STORE_CHANGES).where(*this).values(pending=False))
        self._forgettable = sa.select(STORE_CHANGES.c.store).where(*_OLD).distinct().limit(_ROWS)
        self._lock = prepare(lock(STORES.c.id == OF_STORE))
        self._forget = [prepare(statement) for statement in _forget()]

    async def since(self, index: Index, version: int) -> RowDelta:
        """What happened after `version`. `changes` is None, and `chunks` are all, for 0, where the changes are
        forgotten or too many, and where the store is not yet at `version` (it was restored from a backup).

        A chunk that a client wrote again comes again under its id, with a higher number: it replaces the one before.
        """
        params = {"of_index": index.id, "since": version, "rows_max": CHANGES_MAX + 1}
        rows = await self._database.read(self._since, params)
        if not rows:
            return RowDelta(0, None, _nothing())
        store_id, upto, forgotten = rows[0][:3]
        told = [row[3:] for row in rows if row[3] is not None]
        if version == 0 or version < forgotten or version > upto or len(told) > CHANGES_MAX:
            return RowDelta(upto, None, self._chunks(store_id, 0, upto))
        changes = [RowChange(at, document, attributes and decode(attributes)) for at, document, attributes in told]
        return RowDelta(upto, changes, self._chunks(store_id, version, upto))

    async def pending(self, limit: int = 100) -> list[PendingChange]:
        """Changes that no provider confirmed, the oldest first. Changes of removed stores are not among them."""
        rows = await self._database.read(self._pending, {"rows_max": limit})
        return [_change(row) for row in rows]

    async def pending_of(self, store_id: str, document: str) -> list[PendingChange]:
        """Those of one document, the oldest first: what is to be told to the provider right after a change."""
        params = {"of_store": store_id, "of_document": document, "rows_max": CHANGES_MAX}
        rows = await self._database.read(self._pending_of, params)
        return [_change(row) for row in rows]

    async def confirm(self, store_id: str, version: int) -> None:
        """The provider carried out the change of that version."""
        await self._database.write((self._confirm, {"of_store": store_id, "of_version": version}))

    async def forget(self, older_than: float, rows_max: int = 500) -> int:
        """Remove changes of before that time that are confirmed; how many."""
        stores = await self._database.read(self._forgettable, {"before": older_than, "rows_max": rows_max})
        removed = 0
        for (store_id,) in stores:
            params = {"of_store": store_id, "before": older_than, "rows_max": rows_max - removed}
            steps = ((step, params) for step in (self._lock, *self._forget))
            *_, written = await self._database.write(*steps)
            removed += len(written.rows)
            if removed >= rows_max:
                break
        return removed

    async def _chunks(self, store_id: str, since: int, upto: int) -> AsyncIterator[Sequence[ChunkRow]]:
        params: dict[str, Any] = {"of_store": store_id, "upto": upto, "rows_max": SLICE}
        version, number = since, _LAST
        while True:
            rows = await self._database.read(self._slice, {**params, "since": version, "of_number": number})
            if rows:
                yield [_chunk_row(row) for row in rows if row[4] is not None]
                number, version = rows[-1][0], rows[-1][-1]
            if len(rows) < SLICE:
                return


_LAST: Final = 2**63 - 1
"""Behind all numbers."""


async def _nothing() -> AsyncIterator[Sequence[ChunkRow]]:
    none: Sequence[Sequence[ChunkRow]] = ()
    for rows in none:
        yield rows


def _since() -> sa.Select[Any]:
    """The store with the changes, read at once: so none of them can be forgotten in between."""
    change = sa.and_(
        STORE_CHANGES.c.store == STORES.c.id,
        STORE_CHANGES.c.version > _SINCE,
        STORE_CHANGES.c.version <= STORES.c.version,
    )
    change_columns = (STORE_CHANGES.c.version, STORE_CHANGES.c.document, STORE_CHANGES.c.attributes)
    return (
        sa.select(STORES.c.id, STORES.c.version, STORES.c.changes_from, *change_columns)
        .outerjoin_from(STORES, STORE_CHANGES, change)
        .where(STORES.c.index_id == sa.bindparam("of_index"), STORES.c.state != "deleted")
        .order_by(STORE_CHANGES.c.version)
        .limit(_ROWS)
    )


def _slice() -> sa.Select[Any]:
    """In the order of the index by version, in which the numbers of a version ascend."""
    names = ("number", "id", "document", "embedding")
    columns = (*(CHUNKS.c[name] for name in names), ATTRIBUTES, CHUNKS.c.version)
    place = sa.tuple_(CHUNKS.c.version, CHUNKS.c.number)
    return (
        sa.select(*columns)
        .where(
            CHUNKS.c.store == OF_STORE,
            place > sa.tuple_(_SINCE, sa.bindparam("of_number", type_=sa.BigInteger)),
            CHUNKS.c.version <= sa.bindparam("upto", type_=sa.BigInteger),
            CHUNKS.c.embedding.is_not(None),
        )
        .order_by(CHUNKS.c.version, CHUNKS.c.number)
        .limit(_ROWS)
    )


def _pending() -> sa.Select[Any]:
    store = (STORES.c.id, STORES.c.index_id, STORES.c.embedding_dimension, STORES.c.provider)
    change = (STORE_CHANGES.c.version, STORE_CHANGES.c.document, STORE_CHANGES.c.attributes, STORE_CHANGES.c.at)
    query = sa.select(*store, *change).join_from(STORE_CHANGES, STORES, STORES.c.id == STORE_CHANGES.c.store)
    return query.where(STORE_CHANGES.c.pending.is_(sa.true()), STORES.c.state == "live")


def _forget() -> list[sa.Executable]:
    """What goes is not above `changes_from`, which is raised before."""
    own = (STORE_CHANGES.c.store == OF_STORE, *_OLD)
    last = sa.select(sa.func.max(STORE_CHANGES.c.version)).where(*own).scalar_subquery()
    raised = sa.case((last > STORES.c.changes_from, last), else_=STORES.c.changes_from)
    forgotten = sa.select(STORES.c.changes_from).where(STORES.c.id == OF_STORE).scalar_subquery()
    some = sa.select(STORE_CHANGES.c.version).where(*own, STORE_CHANGES.c.version <= forgotten).limit(_ROWS)
    return [
        sa.update(STORES).where(STORES.c.id == OF_STORE).values(changes_from=raised),
        sa.delete(STORE_CHANGES)
        .where(STORE_CHANGES.c.store == OF_STORE, STORE_CHANGES.c.version.in_(some))
        .returning(STORE_CHANGES.c.version),
    ]


def _chunk_row(row: Sequence[Any]) -> ChunkRow:
    number, chunk_id, document, embedding, attributes, version = row
    return ChunkRow(number, chunk_id, document, embedding, decode(attributes), version)


def _change(row: Sequence[Any]) -> PendingChange:
    store, index_id, dimension, provider, version, document, attributes, at = row
    return PendingChange(store, index_id, dimension, provider, version, document, attributes and decode(attributes), at)
