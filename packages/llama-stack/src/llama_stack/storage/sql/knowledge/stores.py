"""Vector stores, kept for their owner, who alone can see them.

Names, descriptions and metadata with characters that cannot be stored (NUL, lone surrogates) are refused.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from llama_stack.storage.sql.completions import check_metadata
from llama_stack.storage.sql.database import Database, Row
from llama_stack.storage.sql.knowledge.records import NewStore, PageOf, StoreRecord
from llama_stack.storage.sql.knowledge.removal import REMOVED_AT_ONCE, lock, remove_numbered
from llama_stack.storage.sql.knowledge.rows import (
    NOW,
    OF_STORE,
    OWNED,
    STORE,
    VISIBLE,
    check_limit,
    checked_text,
    encode,
    in_order,
    is_id,
    missing_store,
    page,
    store_of,
)
from llama_stack.storage.sql.parameters import new, owned
from llama_stack.storage.sql.tables import CHUNK_SETS, CHUNKS, FILE_BATCHES, STORE_CHANGES, STORE_FILES
from llama_stack.storage.sql.tables import VECTOR_STORES as STORES
from llama_stack_api.errors import Conflict, NotFound
from llama_stack_api.paging import LIMIT_DEFAULT, Order
from llama_stack_api.principal import Principal

DAY_S: Final = 86_400.0
TOUCH_INTERVAL_S: Final = 60.0
_CHANGEABLE: Final = ("name", "description", "metadata", "expires_after_days")
_KEYS = (STORES.c.created_at, STORES.c.id)
_ROWS = sa.bindparam("rows_max", type_=sa.Integer)


class VectorStoreTable:
    """Each method that takes a principal finds only what is theirs; the rest is `NotFound`."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        prepare = database.prepare
        row = {column.name: new(column) for column in STORES.c}
        self._create = prepare(database.insert(STORES).values(row).on_conflict_do_nothing().returning(*STORE))
        self._update = prepare(_update())
        self._touch = prepare(_touch())
        self._delete = prepare(sa.update(STORES).where(*VISIBLE).values(state="deleted").returning(*STORE))
        self._expire = prepare(_expire())
        self._remove = [prepare(statement) for statement in _remove_slice(database)]
        self._get = sa.select(*STORE).where(*VISIBLE)
        going = STORES.c.state.in_([sa.literal("deleted"), sa.literal("expired")])
        self._removable = sa.select(*STORE).where(going).order_by(STORES.c.id).limit(_ROWS)

    async def create(self, principal: Principal, new: NewStore) -> StoreRecord:
        """`Conflict` if its id or index id is in use."""
        check_metadata(new.metadata)
        now = self._clock()
        store_id = new.id or f"vs_{secrets.token_hex(16)}"
        row: dict[str, Any] = {
            **{column.name: 0 for column in STORES.c},
            "id": checked_text(store_id, "id"),
            "tenant": principal.tenant,
            "owner": principal.id,
            "created_at": now,
            "name": _checked(new.name, "name"),
            "description": _checked(new.description, "description"),
            "metadata": encode(new.metadata),
            "expires_after_days": new.expires_after_days,
            "last_active_at": now,
            "expires_at": None if new.expires_after_days is None else now + new.expires_after_days * DAY_S,
            "state": "live",
            "provider": new.provider,
            "index_id": new.index_id or store_id.replace("-", "_"),
            "embedding_model": new.embedding_model,
            "embedding_dimension": new.embedding_dimension,
        }
        (written,) = await self._database.write((self._create, {f"new_{name}": row[name] for name in row}))
        if not written.rows:
            raise Conflict(f"there is a vector store with the id {store_id[:100]!r} or of this index already")
        return store_of(written.rows[0], now)

    async def get(self, principal: Principal, store_id: str) -> StoreRecord:
        """Of an expired store: with the state `expired`, also before `expire_due` has seen it."""
        rows = await self._database.read(self._get, _this(principal, store_id))
        return self._only(rows, store_id)

    async def list(
        self,
        principal: Principal,
        *,
        after: str | None = None,
        before: str | None = None,
        limit: int = LIMIT_DEFAULT,
        order: Order = "desc",
    ) -> PageOf[StoreRecord]:
        """By creation. A page is stable under what is created meanwhile."""
        check_limit(limit)
        cursors = {
            "after": await self._place(principal, after, "after"),
            "before": await self._place(principal, before, "before"),
        }
        query = sa.select(*STORE).where(*OWNED, STORES.c.state != "deleted")
        rows = await self._database.read(page(query, _KEYS, order=order, limit=limit, **cursors), owned(principal))
        now = self._clock()
        kept = in_order(rows, limit, **cursors)
        return PageOf([store_of(row, now) for row in kept], has_more=len(rows) > limit)

    async def update(self, principal: Principal, store_id: str, *, changes: Mapping[str, Any]) -> StoreRecord:
        """`changes` has any of `name`, `description`, `metadata`, `expires_after_days`; None takes away."""
        metadata = changes.get("metadata") or {}
        check_metadata(metadata)
        params = {
            **_this(principal, store_id),
            **{f"set_{name}": name in changes for name in _CHANGEABLE},
            "new_name": _checked(changes.get("name"), "name"),
            "new_description": _checked(changes.get("description"), "description"),
            "new_metadata": encode(metadata),
            "new_expires_after_days": changes.get("expires_after_days"),
        }
        (written,) = await self._database.write((self._update, params))
        return self._only(written.rows, store_id)

    async def touch(self, store: StoreRecord) -> None:
        """It was used: `expires_at` moves with `last_active_at`. Written at most once a minute."""
        now = self._clock()
        if now - store.last_active_at >= TOUCH_INTERVAL_S:
            await self._database.write(
                (self._touch, {"of_store": store.id, "now": now, "before": now - TOUCH_INTERVAL_S})
            )

    async def delete(self, principal: Principal, store_id: str) -> StoreRecord:
        """Invisible at once; `removable` tells what is to be removed, `remove_slice` removes its rows."""
        (written,) = await self._database.write((self._delete, _this(principal, store_id)))
        return self._only(written.rows, store_id)

    async def expire_due(self, rows_max: int = 500) -> int:
        """Mark those whose time has come; how many."""
        (written,) = await self._database.write((self._expire, {"now": self._clock(), "rows_max": rows_max}))
        return len(written.rows)

    async def removable(self, limit: int = 100) -> Sequence[StoreRecord]:
        """Deleted and expired stores, of any owner, that have rows still: their index at the provider goes first."""
        rows = await self._database.read(self._removable, {"rows_max": limit})
        return [store_of(row, self._clock()) for row in rows]

    async def remove_slice(self, store_id: str, rows: int = REMOVED_AT_ONCE) -> bool:
        """Remove some rows of a store that is `removable`; True when all are gone. Of an expired store the record
        stays, until its owner deletes it. Writers on SQLite wait while a slice goes: let them in between."""
        params = {"of_store": store_id, "rows_max": rows}
        *_, emptied, deleted = await self._database.write(*((step, params) for step in self._remove))
        return bool(emptied.rows or deleted.rows)

    async def _place(self, principal: Principal, cursor: str | None, param: str) -> Row | None:
        if cursor is None:
            return None
        try:
            store = await self.get(principal, cursor)
        except NotFound as error:
            raise NotFound(error.message, param=param) from None
        return store.created_at, store.id

    def _only(self, rows: Sequence[Row], store_id: str) -> StoreRecord:
        if not rows:
            raise missing_store(store_id)
        return store_of(rows[0], self._clock())


def _update() -> sa.Executable:
    def changed(name: str) -> sa.ColumnElement[Any]:
        column = STORES.c[name]
        return sa.case((sa.bindparam(f"set_{name}", type_=sa.Boolean), new(column)), else_=column)

    values: dict[str, Any] = {name: changed(name) for name in _CHANGEABLE}
    values["expires_at"] = STORES.c.last_active_at + changed("expires_after_days") * DAY_S
    return sa.update(STORES).where(*VISIBLE).values(values).returning(*STORE)


def _touch() -> sa.Executable:
    long_ago = STORES.c.last_active_at <= sa.bindparam("before", type_=sa.Float(53))
    return (
        sa.update(STORES)
        .where(STORES.c.id == OF_STORE, STORES.c.state == "live", long_ago)
        .values(last_active_at=NOW, expires_at=NOW + STORES.c.expires_after_days * DAY_S)
    )


def _expire() -> sa.Executable:
    due = sa.select(STORES.c.id).where(STORES.c.expires_at <= NOW, STORES.c.state == "live").limit(_ROWS)
    still = (STORES.c.expires_at <= NOW, STORES.c.state == "live")
    return sa.update(STORES).where(STORES.c.id.in_(due), *still).values(state="expired").returning(STORES.c.id)


def _remove_slice(database: Database) -> list[sa.Executable]:
    """The last two say whether it was the last slice: of an expired store, or a deleted one."""
    going = STORES.c.state.in_([sa.literal("deleted"), sa.literal("expired")])
    this = sa.select(STORES.c.id).where(STORES.c.id == OF_STORE, going)
    numbers = sa.select(CHUNKS.c.number).where(CHUNKS.c.store.in_(this))
    numbers = numbers.order_by(CHUNKS.c.version, CHUNKS.c.number).limit(_ROWS)
    sets = sa.select(CHUNK_SETS.c.number).where(CHUNK_SETS.c.store.in_(this)).limit(_ROWS)
    files = sa.select(STORE_FILES.c.file).where(STORE_FILES.c.store.in_(this)).limit(_ROWS)
    versions = sa.select(STORE_CHANGES.c.version).where(STORE_CHANGES.c.store.in_(this)).limit(_ROWS)
    batches = sa.select(FILE_BATCHES.c.id).where(FILE_BATCHES.c.store.in_(this)).limit(1)
    empty = [
        ~sa.exists(sa.select(sa.literal_column("1")).where(table.c.store == OF_STORE))
        for table in (CHUNKS, CHUNK_SETS, STORE_FILES, STORE_CHANGES, FILE_BATCHES)
    ]
    counters = {name: 0 for name in STORES.c.keys() if name.startswith("files_")}  # noqa: SIM118
    nothing = {**counters, "usage_bytes": 0, "chunks": 0, "words": 0, "changes_from": STORES.c.version}
    own = STORES.c.id == OF_STORE
    return [
        lock(own),  # of two processes that remove, one waits
        *remove_numbered(database, numbers),
        sa.delete(CHUNK_SETS).where(CHUNK_SETS.c.number.in_(sets)),
        sa.delete(STORE_FILES).where(STORE_FILES.c.store == OF_STORE, STORE_FILES.c.file.in_(files)),
        sa.delete(STORE_CHANGES).where(STORE_CHANGES.c.store == OF_STORE, STORE_CHANGES.c.version.in_(versions)),
        sa.delete(FILE_BATCHES).where(FILE_BATCHES.c.id.in_(batches)),
        sa.update(STORES)
        .where(own, STORES.c.state == "expired", *empty)
        .values(state="emptied", **nothing)
        .returning(STORES.c.id),
        sa.delete(STORES).where(own, STORES.c.state == "deleted", *empty).returning(STORES.c.id),
    ]


def _checked(text: str | None, param: str) -> str | None:
    return None if text is None else checked_text(text, param)


def _this(principal: Principal, store_id: str) -> dict[str, Any]:
    if not is_id(store_id):
        raise missing_store(store_id)
    return {**owned(principal), "of_store": store_id}
