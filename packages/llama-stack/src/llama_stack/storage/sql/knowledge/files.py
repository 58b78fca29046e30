"""Files attached to vector stores. The store's counters move in the transactions that change its files."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from llama_stack.storage.sql.database import Database, Prepared, Row
from llama_stack.storage.sql.knowledge.attaching import Attaching
from llama_stack.storage.sql.knowledge.records import (
    AttachedFile,
    Attachment,
    AttributeValues,
    FileStatus,
    NewAttachment,
    PageOf,
    StoreRecord,
)
from llama_stack.storage.sql.knowledge.removal import Removal, lock
from llama_stack.storage.sql.knowledge.rows import (
    FILE,
    LIVE,
    NOW,
    OF_STORE,
    SEEN,
    STORE,
    VISIBLE,
    check_limit,
    checked_attributes,
    checked_text,
    cleaned_text,
    file_of,
    in_order,
    is_id,
    missing_file,
    missing_store,
    page,
    store_of,
    strings,
)
from llama_stack.storage.sql.parameters import new, owned
from llama_stack.storage.sql.tables import CHUNK_SETS, FILE_BATCH_FILES, FILE_BATCHES, STORE_CHANGES, STORE_FILES
from llama_stack.storage.sql.tables import VECTOR_STORES as STORES
from llama_stack_api.errors import Conflict, InvalidRequest, NotFound
from llama_stack_api.paging import LIMIT_DEFAULT, Order
from llama_stack_api.principal import Principal

ATTACH_MAX: Final = 2000
MESSAGE_CHARS_MAX: Final = 2000

_OF_FILE = (STORE_FILES.c.store == OF_STORE, STORE_FILES.c.file == sa.bindparam("of_file"))
_IN_PROGRESS = STORE_FILES.c.status == "in_progress"
_HELD = (*_OF_FILE, STORE_FILES.c.attachment == sa.bindparam("of_attachment"), _IN_PROGRESS)
"""The file is still being ingested as this attachment."""
_KEYS = (STORE_FILES.c.attached_at, STORE_FILES.c.file)
_VISIBLE = sa.exists(sa.select(STORES.c.id).where(*VISIBLE))
_LIVE = sa.exists(sa.select(STORES.c.id).where(*LIVE))
_FILES = sa.select(STORE_FILES.c.file)


class AttachedFileTable:
    """Each method that takes a principal finds only what is theirs; the rest is `NotFound`."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        prepare = database.prepare
        self._attaching = Attaching(database)
        self._lock = prepare(lock(*VISIBLE))
        self._lock_any = prepare(lock(STORES.c.id == OF_STORE))
        self._set_run = prepare(
            sa.update(STORE_FILES).where(*_HELD).values(run=new(STORE_FILES.c.run)).returning(STORE_FILES.c.file)
        )
        self._count_completed = prepare(_count_completed())
        self._complete = prepare(
            sa.update(STORE_FILES).where(*_HELD, _LIVE).values(status="completed").returning(STORE_FILES.c.file)
        )
        self._failing = Removal(database, _FILES.where(*_HELD), into="failed")
        self._fail = prepare(_ended("failed").where(*_HELD))
        self._cancelling = Removal(database, _FILES.where(*_OF_FILE, _IN_PROGRESS, _VISIBLE), into="cancelled")
        self._cancel = prepare(_ended("cancelled").where(*_OF_FILE, _IN_PROGRESS, _VISIBLE))
        self._detaching = Removal(database, _FILES.where(*_OF_FILE, _VISIBLE))
        self._detach = prepare(sa.delete(STORE_FILES).where(*_OF_FILE, _VISIBLE).returning(*FILE))
        self._detaching_any = Removal(database, _FILES.where(*_OF_FILE))
        self._detach_any = prepare(sa.delete(STORE_FILES).where(*_OF_FILE).returning(STORE_FILES.c.store))
        self._set_attributes = [prepare(statement) for statement in _set_attributes()]
        self._get = (
            sa.select(STORES.c.id, *FILE).outerjoin_from(STORES, STORE_FILES, sa.and_(*_OF_FILE)).where(*VISIBLE)
        )
        self._current = sa.select(*FILE).where(*_OF_FILE, STORE_FILES.c.attachment == sa.bindparam("of_attachment"))
        self._unstarted = _unstarted()
        self._begun = _begun()
        self._some = sa.select(*FILE).where(
            STORE_FILES.c.store == OF_STORE, STORE_FILES.c.file.in_(strings(database, "files"))
        )
        self._stores_of = _stores_of()

    async def attach(
        self, principal: Principal, store_id: str, new: Sequence[NewAttachment], *, batch: str | None = None
    ) -> Sequence[AttachedFile]:
        """All of them, as they are then, in the order of `new`; with `batch`, as that batch, which is made.

        A file that is attached already, completed or in progress, with the same chunking only gets the new attributes.
        Another one is attached anew: its chunks go (a deletion among the changes), it is in progress again.
        At most `ATTACH_MAX` at once. `Conflict` if the store has expired.
        """
        if len(new) > ATTACH_MAX:
            raise InvalidRequest(
                f"at most {ATTACH_MAX} files can be attached at once, not {len(new)}", param="file_ids"
            )
        wanted = {each.file: _checked(each) for each in new}
        rows = list(wanted.values())
        params = {**_this(principal, store_id), "now": self._clock(), "batch": batch}
        locked, *_ = await self._database.write(*self._attaching.steps(store_id, rows, params))
        if not locked.rows:
            await self._missing(principal, store_id)
        attached = await self._read_files(store_id, list(wanted))
        for file_id, row in wanted.items():
            there = attached.get(file_id)
            if there is not None and there.attachment != row["attachment"]:
                given = msgspec.json.decode(row["attributes"])
                if there.attributes != given:
                    attached[file_id] = await self.set_attributes(principal, store_id, file_id, given)
        return [attached[file_id] for file_id in wanted if file_id in attached]

    async def get(self, principal: Principal, store_id: str, file_id: str) -> AttachedFile:
        rows = await self._database.read(self._get, {**_this(principal, store_id), "of_file": _file_id(file_id)})
        if not rows:
            raise missing_store(store_id)
        if rows[0][1] is None:
            raise missing_file(file_id)
        return file_of(rows[0][1:])

    async def list(
        self,
        principal: Principal,
        store_id: str,
        *,
        batch: str | None = None,
        status: FileStatus | None = None,
        after: str | None = None,
        before: str | None = None,
        limit: int = LIMIT_DEFAULT,
        order: Order = "desc",
    ) -> PageOf[AttachedFile]:
        """By the time of attaching; with `batch`, those of a batch alone. The cursors are ids of files."""
        check_limit(limit)
        params = _this(principal, store_id)
        cursors = {
            "after": await self._place(principal, store_id, after, "after"),
            "before": await self._place(principal, store_id, before, "before"),
        }
        query = sa.select(*FILE).where(STORE_FILES.c.store == OF_STORE, _VISIBLE)
        if batch is not None:
            query = query.where(STORE_FILES.c.file.in_(_of_batch()))
            params["of_batch"] = checked_text(batch, "batch_id")
        if status is not None:
            query = query.where(STORE_FILES.c.status == sa.literal(status))
        rows = await self._database.read(page(query, _KEYS, order=order, limit=limit, **cursors), params)
        if not rows:
            await self._check_there(principal, store_id)
        kept = in_order(rows, limit, **cursors)
        return PageOf([file_of(row) for row in kept], has_more=len(rows) > limit)

    async def unstarted(self, limit: int = 100) -> Sequence[tuple[AttachedFile, StoreRecord]]:
        """Of any owner: files in progress without a run, the oldest first, with their stores."""
        now = self._clock()
        rows = await self._database.read(self._unstarted, {"now": now, "rows_max": limit})
        return [(file_of(row[: len(FILE)]), store_of(row[len(FILE) :], now)) for row in rows]

    async def begun(
        self, older_than: float, after: tuple[str, str] | None, limit: int = 100
    ) -> Sequence[tuple[AttachedFile, StoreRecord]]:
        """Of any owner: files in progress with a run, attached before that time, from behind `after` (a store's id and
        a file's) in the order of both."""
        store, file = after or ("", "")
        params = {"older_than": older_than, "after_store": store, "after_file": file, "rows_max": limit}
        rows = await self._database.read(self._begun, params)
        now = self._clock()
        return [(file_of(row[: len(FILE)]), store_of(row[len(FILE) :], now)) for row in rows]

    async def set_run(self, store_id: str, attachment: Attachment, run: str) -> bool:
        """False if it is not in progress any more."""
        (written,) = await self._database.write((self._set_run, {**_held(store_id, attachment), "new_run": run}))
        return bool(written.rows)

    async def current(self, store_id: str, attachment: Attachment) -> AttachedFile | None:
        """Of any owner: the file if it still has this attachment, whatever its status."""
        rows = await self._database.read(self._current, _held(store_id, attachment))
        return file_of(rows[0]) if rows else None

    async def complete(self, store_id: str, attachment: Attachment) -> bool:
        """False, and nothing changed, if it is not in progress any more or its store is gone or expired."""
        params = {**_held(store_id, attachment), "now": self._clock()}
        *_, completed = await self._database.write(
            (self._lock_any, params), (self._count_completed, params), (self._complete, params)
        )
        return bool(completed.rows)

    async def fail(self, store_id: str, attachment: Attachment, code: str, message: str) -> bool:
        """Its chunks go (a deletion among the changes). False, and nothing changed, if it is not in progress."""
        error = {"new_error_code": code, "new_error_message": cleaned_text(message)[:MESSAGE_CHARS_MAX]}
        params = {**_held(store_id, attachment), **error}
        written = await self._remove(self._failing, self._lock_any, self._fail, store_id, params)
        return bool(written)

    async def cancel(self, principal: Principal, store_id: str, file_id: str) -> AttachedFile:
        """One in progress is cancelled and its chunks go; others stay as they are."""
        params = {**_this(principal, store_id), "of_file": _file_id(file_id)}
        params |= {"new_error_code": None, "new_error_message": None}
        await self._remove(self._cancelling, self._lock, self._cancel, store_id, params)
        return await self.get(principal, store_id, file_id)

    async def set_attributes(
        self, principal: Principal, store_id: str, file_id: str, attributes: AttributeValues
    ) -> AttachedFile:
        """Of the file and all its chunks, in place of those that they have; a change."""
        params = {
            **_this(principal, store_id),
            "of_file": _file_id(file_id),
            "new_attributes": checked_attributes(attributes),
            "now": self._clock(),
        }
        *_, written = await self._database.write(*((step, params) for step in (self._lock, *self._set_attributes)))
        if not written.rows:
            return await self.get(principal, store_id, file_id)  # says what is missing
        return file_of(written.rows[0])

    async def detach(self, principal: Principal, store_id: str, file_id: str) -> AttachedFile:
        """The file as it was; it and its chunks are gone, a deletion is among the changes."""
        params = {**_this(principal, store_id), "of_file": _file_id(file_id)}
        rows = await self._remove(self._detaching, self._lock, self._detach, store_id, params)
        if not rows:
            await self._check_there(principal, store_id)
            raise missing_file(file_id)
        return file_of(rows[0])

    async def detach_everywhere(self, tenant: str, file_id: str) -> Sequence[str]:
        """From all stores of the tenant, when a file is deleted: the ids of the stores."""
        params: dict[str, Any] = {"of_file": _file_id(file_id)}
        stores = await self._database.read(self._stores_of, {**params, "of_tenant": tenant})
        for (store_id,) in stores:
            await self._remove(self._detaching_any, self._lock_any, self._detach_any, store_id, params)
        return [store_id for (store_id,) in stores]

    async def _remove(
        self, removal: Removal, lock: Prepared, end: Prepared, store_id: str, params: Mapping[str, Any]
    ) -> Sequence[Row]:
        """One transaction, that of the last statement's rows."""
        given = {**params, "of_store": store_id}
        removing = removal.steps(store_id, self._clock(), params)
        *_, ended = await self._database.write((lock, given), *removing, (end, given))
        return ended.rows

    async def _read_files(self, store_id: str, files: Sequence[str]) -> dict[str, AttachedFile]:
        params = {"of_store": store_id, "files": msgspec.json.encode(files).decode()}
        rows = await self._database.read(self._some, params)
        return {file.file: file for file in map(file_of, rows)}

    async def _place(self, principal: Principal, store_id: str, cursor: str | None, param: str) -> Row | None:
        if cursor is None:
            return None
        await self._check_there(principal, store_id)
        try:
            file = await self.get(principal, store_id, cursor)
        except NotFound as error:
            raise NotFound(error.message, param=param) from None
        return file.attached_at, file.file

    async def _check_there(self, principal: Principal, store_id: str) -> str:
        rows = await self._database.read(lock(*VISIBLE), _this(principal, store_id))
        if not rows:
            raise missing_store(store_id)
        return str(rows[0][0])

    async def _missing(self, principal: Principal, store_id: str) -> None:
        await self._check_there(principal, store_id)
        raise Conflict(f"the vector store {store_id!r} has expired", param="vector_store_id")


def _count_completed() -> sa.Executable:
    held = sa.exists(_FILES.where(*_HELD))
    moved = {"files_in_progress": STORES.c.files_in_progress - 1, "files_completed": STORES.c.files_completed + 1}
    return sa.update(STORES).where(*LIVE, held).values(moved)


def _ended(status: FileStatus) -> Any:
    values = {
        "status": status,
        "error_code": new(STORE_FILES.c.error_code),
        "error_message": new(STORE_FILES.c.error_message),
        "usage_bytes": 0,
        "chunks_done": 0,
    }
    return sa.update(STORE_FILES).values(values).returning(STORE_FILES.c.file)


def _set_attributes() -> list[sa.Executable]:
    there = sa.exists(_FILES.where(*_OF_FILE, _VISIBLE))
    attributes = sa.bindparam("new_attributes", type_=sa.Text)
    change = sa.select(
        STORES.c.id, STORES.c.version, sa.bindparam("of_file", type_=sa.Text), attributes, sa.true(), NOW
    )
    return [
        sa.update(STORES).where(*VISIBLE, there).values(version=STORES.c.version + 1),
        sa.insert(STORE_CHANGES).from_select(
            [column.name for column in STORE_CHANGES.c], change.where(*VISIBLE, there)
        ),
        sa.update(CHUNK_SETS)
        .where(CHUNK_SETS.c.store == OF_STORE, CHUNK_SETS.c.document == sa.bindparam("of_file"), SEEN, there)
        .values(attributes=attributes, key=sa.case((CHUNK_SETS.c.key.is_not(None), sa.literal("", sa.Text)))),
        sa.update(STORE_FILES).where(*_OF_FILE, _VISIBLE).values(attributes=attributes).returning(*FILE),
    ]


def _unstarted() -> sa.Select[Any]:
    live = (STORES.c.state == "live", sa.or_(STORES.c.expires_at.is_(None), STORES.c.expires_at > NOW))
    query = sa.select(*FILE, *STORE).join_from(STORE_FILES, STORES, STORES.c.id == STORE_FILES.c.store)
    query = query.where(_IN_PROGRESS, STORE_FILES.c.run.is_(None), *live)
    return query.order_by(STORE_FILES.c.attached_at).limit(sa.bindparam("rows_max", type_=sa.Integer))


def _begun() -> sa.Select[Any]:
    query = sa.select(*FILE, *STORE).join_from(STORE_FILES, STORES, STORES.c.id == STORE_FILES.c.store)
    query = query.where(
        _IN_PROGRESS,
        STORE_FILES.c.run.is_not(None),
        STORE_FILES.c.attached_at < sa.bindparam("older_than", type_=STORE_FILES.c.attached_at.type),
        sa.tuple_(STORE_FILES.c.store, STORE_FILES.c.file)
        > sa.tuple_(sa.bindparam("after_store", type_=sa.Text), sa.bindparam("after_file", type_=sa.Text)),
    )
    rows_max = sa.bindparam("rows_max", type_=sa.Integer)
    return query.order_by(STORE_FILES.c.store, STORE_FILES.c.file).limit(rows_max)


def _stores_of() -> sa.Select[Any]:
    query = sa.select(STORES.c.id).join_from(STORE_FILES, STORES, STORES.c.id == STORE_FILES.c.store)
    of_file = STORE_FILES.c.file == sa.bindparam("of_file")
    return query.where(of_file, STORES.c.tenant == sa.bindparam("of_tenant"), STORES.c.state != "deleted")


def _of_batch() -> sa.Select[Any]:
    query = sa.select(FILE_BATCH_FILES.c.file).join_from(
        FILE_BATCH_FILES, FILE_BATCHES, FILE_BATCHES.c.id == FILE_BATCH_FILES.c.batch
    )
    return query.where(FILE_BATCHES.c.id == sa.bindparam("of_batch"), FILE_BATCHES.c.store == OF_STORE)


def _checked(attachment: NewAttachment) -> dict[str, str]:
    return {
        "file": checked_text(attachment.file, "file_id"),
        "attachment": secrets.token_hex(16),
        "filename": checked_text(attachment.filename, "filename"),
        "attributes": checked_attributes(attachment.attributes),
        "chunking": msgspec.json.encode(attachment.chunking, order="sorted").decode(),
    }


def _held(store_id: str, attachment: Attachment) -> dict[str, Any]:
    return {"of_store": store_id, "of_file": attachment.file, "of_attachment": attachment.id}


def _this(principal: Principal, store_id: str) -> dict[str, Any]:
    if not is_id(store_id):
        raise missing_store(store_id)
    return {**owned(principal), "of_store": store_id}


def _file_id(file_id: str) -> str:
    if not is_id(file_id):
        raise missing_file(file_id)
    return file_id
