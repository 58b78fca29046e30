"""Batches of files that were attached together. Their files are listed by `AttachedFileTable.list(batch=…)`."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from llama_stack.storage.sql.database import Database, Row
from llama_stack.storage.sql.knowledge.records import FileBatch, FileCounts
from llama_stack.storage.sql.knowledge.removal import Removal, lock
from llama_stack.storage.sql.knowledge.rows import OF_STORE, STATUSES, VISIBLE, is_id, missing_store
from llama_stack.storage.sql.parameters import owned
from llama_stack.storage.sql.tables import FILE_BATCH_FILES, FILE_BATCHES, STORE_FILES
from llama_stack.storage.sql.tables import VECTOR_STORES as STORES
from llama_stack_api.errors import NotFound
from llama_stack_api.principal import Principal

_VISIBLE = sa.exists(sa.select(STORES.c.id).where(*VISIBLE))
_THIS = (FILE_BATCHES.c.store == OF_STORE, FILE_BATCHES.c.id == sa.bindparam("of_batch"), _VISIBLE)
_IN_PROGRESS = STORE_FILES.c.status == "in_progress"


class FileBatchTable:
    """A batch is made by `AttachedFileTable.attach(batch=new_batch_id())`."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        prepare = database.prepare
        batch = sa.select(FILE_BATCHES.c.id).where(*_THIS)
        of_batch = sa.select(FILE_BATCH_FILES.c.file).where(FILE_BATCH_FILES.c.batch.in_(batch))
        going = (STORE_FILES.c.store == OF_STORE, _IN_PROGRESS, STORE_FILES.c.file.in_(of_batch))
        self._lock = prepare(lock(*VISIBLE))
        self._cancelling = Removal(database, sa.select(STORE_FILES.c.file).where(*going), into="cancelled")
        ended = {"status": "cancelled", "usage_bytes": 0, "chunks_done": 0}
        self._cancel_files = prepare(sa.update(STORE_FILES).where(*going).values(ended))
        is_going = sa.exists(sa.select(STORE_FILES.c.file).where(*going))
        self._cancel = prepare(sa.update(FILE_BATCHES).where(*_THIS, is_going).values(cancelled=True))
        self._forget = prepare(_forget())
        self._get = _get()

    async def get(self, principal: Principal, store_id: str, batch_id: str) -> FileBatch:
        rows = await self._database.read(self._get, _this(principal, store_id, batch_id))
        return _only(rows, store_id, batch_id)

    async def cancel(self, principal: Principal, store_id: str, batch_id: str) -> FileBatch:
        """Those of its files that are in progress are cancelled, and their chunks go. Without any it stays as it is."""
        params = _this(principal, store_id, batch_id)
        removing = self._cancelling.steps(store_id, self._clock(), params)
        await self._database.write(
            (self._lock, params), (self._cancel, params), *removing, (self._cancel_files, params)
        )
        return await self.get(principal, store_id, batch_id)

    async def forget(self, older_than: float, rows_max: int = 500) -> int:
        """Remove batches, of any owner, made before that time and without a file in progress; how many."""
        (written,) = await self._database.write((self._forget, {"before": older_than, "rows_max": rows_max}))
        return len(written.rows)


def new_batch_id() -> str:
    return f"vsfb_{secrets.token_hex(16)}"


def _get() -> sa.Select[Any]:
    """A row for the store, with nulls if it has no such batch."""
    files = FILE_BATCH_FILES.outerjoin(
        STORE_FILES, sa.and_(STORE_FILES.c.store == OF_STORE, STORE_FILES.c.file == FILE_BATCH_FILES.c.file)
    )
    counts = [sa.func.count(sa.case((STORE_FILES.c.status == status, 1))) for status in STATUSES]
    batch = sa.and_(FILE_BATCHES.c.store == STORES.c.id, FILE_BATCHES.c.id == sa.bindparam("of_batch"))
    joined = STORES.outerjoin(FILE_BATCHES, batch).outerjoin(files, FILE_BATCH_FILES.c.batch == FILE_BATCHES.c.id)
    record = (FILE_BATCHES.c.id, FILE_BATCHES.c.store, FILE_BATCHES.c.created_at, FILE_BATCHES.c.cancelled)
    return sa.select(*record, *counts).select_from(joined).where(*VISIBLE).group_by(*record)


def _forget() -> sa.Executable:
    files = sa.and_(STORE_FILES.c.store == FILE_BATCHES.c.store, STORE_FILES.c.file == FILE_BATCH_FILES.c.file)
    busy: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(FILE_BATCH_FILES.join(STORE_FILES, sa.true()))
    busy = busy.where(FILE_BATCH_FILES.c.batch == FILE_BATCHES.c.id, files, _IN_PROGRESS).correlate(FILE_BATCHES)
    old = sa.select(FILE_BATCHES.c.id).where(
        FILE_BATCHES.c.created_at < sa.bindparam("before", type_=sa.Float(53)), ~sa.exists(busy)
    )
    old = old.order_by(FILE_BATCHES.c.created_at).limit(sa.bindparam("rows_max", type_=sa.Integer))
    return sa.delete(FILE_BATCHES).where(FILE_BATCHES.c.id.in_(old)).returning(FILE_BATCHES.c.id)


def _only(rows: Sequence[Row], store_id: str, batch_id: str) -> FileBatch:
    if not rows:
        raise missing_store(store_id)
    found, store, created_at, cancelled, *counts = rows[0]
    if found is None:
        raise _missing(batch_id)
    return FileBatch(found, store, created_at, bool(cancelled), FileCounts(*counts))


def _this(principal: Principal, store_id: str, batch_id: str) -> dict[str, Any]:
    if not is_id(store_id):
        raise missing_store(store_id)
    if not is_id(batch_id):
        raise _missing(batch_id)
    return {**owned(principal), "of_store": store_id, "of_batch": batch_id}


def _missing(batch_id: str) -> NotFound:
    return NotFound(f"there is no file batch {batch_id[:100]!r} in this vector store", param="batch_id")
