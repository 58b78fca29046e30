"""What is known of uploaded files, for their owner, who alone can see them. Their bytes are a `blobs` content each.

An expired file does not exist from that moment on, whether it is removed yet or not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from llama_stack.config.files import FilesConfig, setting
from llama_stack.storage.sql.blobs import IS_WRITING, LOCATED, OF_BLOB, Blob, blob, drop, keep_if, kept_params
from llama_stack.storage.sql.database import Database, Row
from llama_stack.storage.sql.parameters import is_owned, new_row, owned
from llama_stack.storage.sql.tables import BLOBS, FILES, UPLOAD_PARTS, UPLOADS
from llama_stack_api.errors import Conflict, InvalidRequest, NotFound
from llama_stack_api.paging import Order
from llama_stack_api.ports.files import KeptContent
from llama_stack_api.principal import Principal

NAMES_AT_ONCE = 500

NOW = sa.bindparam("now", type_=sa.Float(53))
_OWNED = is_owned(FILES)
"""Part of every statement but the sweep's: for anyone else, the file does not exist."""
_LIVE = sa.or_(FILES.c.expires_at.is_(None), FILES.c.expires_at > NOW)
_THIS = (*_OWNED, FILES.c.id == sa.bindparam("of_file"))
_RECORD = tuple(FILES.c)


@dataclass(frozen=True, slots=True)
class FileRecord:
    """Times are Unix seconds. `blob` is the id of its content."""

    id: str
    tenant: str
    owner: str
    created_at: float
    expires_at: float | None
    filename: str
    purpose: str
    content_type: str
    bytes: int
    blob: str


@dataclass(frozen=True, slots=True)
class FilePage:
    items: list[FileRecord]
    has_more: bool


class FileTable:
    """Each method that takes a principal finds only what is theirs; the rest is `NotFound`."""

    def __init__(
        self, database: Database, *, limits: FilesConfig | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._limits = limits or FilesConfig()
        self._clock = clock
        self._insert = database.prepare(insert_file(self._limits, IS_WRITING))
        self._keep = database.prepare(KEEP_FOR_FILE)
        in_this = sa.select(FILES.c.blob).where(*_THIS).scalar_subquery()
        self._drop = database.prepare(drop(BLOBS.c.id == in_this))
        self._delete = database.prepare(sa.delete(FILES).where(*_THIS).returning(*_RECORD))

    async def add(self, file: FileRecord, content: KeptContent) -> None:
        """The file and its content, from now on. `Conflict` if the content was given up meanwhile, `InvalidRequest`
        if there is no room."""
        added, _ = await self._database.write(
            (self._insert, file_params(file)), (self._keep, kept_params(file.blob, content, self._clock()))
        )
        if not added.rows:
            owner = Principal(file.owner, file.tenant)
            await self.check_room(owner, file.bytes)
            raise Conflict("The file took so long that the server gave it up; send it again.")

    async def check_room(self, owner: Principal, more_bytes: int) -> None:
        """`InvalidRequest` if the owner may not have another file of that size."""
        limits = self._limits
        count = sa.select(sa.func.count()).select_from(FILES).where(*_OWNED)
        ((files,),) = await self._database.read(count, owned(owner))
        if files >= limits.files_max:
            raise _full(f"you have {files} files", "files_max")
        if limits.bytes_total_max is not None:
            ((held,),) = await self._database.read(sa.select(HELD_BYTES), owned(owner))
            if held + more_bytes > limits.bytes_total_max:
                raise _full(f"your files have {held} bytes, and may have {limits.bytes_total_max}", "bytes_total_max")

    async def get(self, principal: Principal, file_id: str) -> FileRecord:
        query = sa.select(*_RECORD).where(*_THIS, _LIVE)
        return _record(_only(await self._database.read(query, self._this(principal, file_id)), file_id))

    async def content(self, principal: Principal, file_id: str) -> tuple[FileRecord, Blob]:
        query = sa.select(*LOCATED, *_RECORD).join_from(FILES, BLOBS, FILES.c.blob == BLOBS.c.id).where(*_THIS, _LIVE)
        row = _only(await self._database.read(query, self._this(principal, file_id)), file_id)
        return _record(row[len(LOCATED) :]), blob(row)

    async def filenames(self, principal: Principal, file_ids: Sequence[str]) -> dict[str, str]:
        """By id, of those that are there and theirs."""
        found: dict[str, str] = {}
        wanted = [file_id for file_id in dict.fromkeys(file_ids) if _possible(file_id)]
        for start in range(0, len(wanted), NAMES_AT_ONCE):
            named = FILES.c.id.in_([sa.literal(file_id) for file_id in wanted[start : start + NAMES_AT_ONCE]])
            query = sa.select(FILES.c.id, FILES.c.filename).where(*_OWNED, _LIVE, named)
            rows = await self._database.read(query, {**owned(principal), "now": self._clock()})
            found.update((row[0], row[1]) for row in rows)
        return found

    async def list(
        self,
        principal: Principal,
        *,
        after: str | None = None,
        limit: int,
        order: Order = "desc",
        purpose: str | None = None,
    ) -> FilePage:
        """By creation. A page is stable under what is uploaded or deleted meanwhile, while `after` is there."""
        query = sa.select(*_RECORD).where(*_OWNED, _LIVE)
        params: dict[str, Any] = {**owned(principal), "now": self._clock()}
        if purpose is not None:
            query = query.where(FILES.c.purpose == sa.bindparam("of_purpose"))
            params["of_purpose"] = purpose
        if after is not None:
            query = query.where(await self._beyond(principal, after, order))
        keys = (FILES.c.created_at, FILES.c.id)
        query = query.order_by(*(keys if order == "asc" else (key.desc() for key in keys))).limit(limit + 1)
        rows = await self._database.read(query, params)
        return FilePage([_record(row) for row in rows[:limit]], has_more=len(rows) > limit)

    async def delete(self, principal: Principal, file_id: str) -> Blob:
        """From now on the file does not exist, and its content is dropped: what is left is to remove its bytes.
        Expired or not."""
        this = self._this(principal, file_id)
        dropped, deleted = await self._database.write((self._drop, {**this, "at": self._clock()}), (self._delete, this))
        _only(deleted.rows, file_id)
        return blob(dropped.rows[0])

    async def expired(self, limit: int) -> Sequence[FileRecord]:
        """Files of anybody that are over."""
        query = sa.select(*_RECORD).where(FILES.c.expires_at <= NOW).order_by(FILES.c.expires_at).limit(limit)
        return [_record(row) for row in await self._database.read(query, {"now": self._clock()})]

    async def _beyond(self, principal: Principal, after: str, order: Order) -> sa.ColumnElement[bool]:
        query = sa.select(FILES.c.created_at).where(*_THIS)
        rows = await self._database.read(query, this_file(principal, after)) if _possible(after) else ()
        if not rows:
            raise InvalidRequest(f"There is no file {after[:100]!r} to list after.", param="after")
        place = sa.tuple_(FILES.c.created_at, FILES.c.id)
        cursor = sa.tuple_(sa.literal(rows[0][0], sa.Float(53)), sa.literal(after))
        return place > cursor if order == "asc" else place < cursor

    def _this(self, principal: Principal, file_id: str) -> dict[str, Any]:
        return {**this_file(principal, file_id), "now": self._clock()}


def _held() -> sa.ColumnElement[int]:
    """Bytes of all that an owner has, files and parts of uploads."""
    files = sa.select(sa.func.coalesce(sa.func.sum(FILES.c.bytes), 0)).where(*_OWNED).scalar_subquery()
    parts = (
        sa.select(sa.func.coalesce(sa.func.sum(UPLOAD_PARTS.c.bytes), 0))
        .join_from(UPLOAD_PARTS, UPLOADS, UPLOAD_PARTS.c.upload == UPLOADS.c.id)
        .where(*is_owned(UPLOADS))
        .scalar_subquery()
    )
    return sa.cast(files + parts, sa.BigInteger)


HELD_BYTES = _held()
KEEP_FOR_FILE = keep_if(sa.exists(sa.select(1).where(FILES.c.blob == OF_BLOB)))


def insert_file(limits: FilesConfig, condition: sa.ColumnElement[bool]) -> sa.Executable:
    """A file, if `condition` holds and there is room for one more. Its parameters are those of `file_params`."""
    new = new_row(FILES)
    mine = sa.select(sa.func.count()).select_from(FILES).where(*_OWNED).scalar_subquery()
    row = sa.select(*new.values()).where(condition, mine < sa.literal(limits.files_max, sa.BigInteger))
    if limits.bytes_total_max is not None:
        row = row.where(HELD_BYTES + new["bytes"] <= sa.literal(limits.bytes_total_max, sa.BigInteger))
    return sa.insert(FILES).from_select(list(new), row).returning(FILES.c.id)


def file_params(file: FileRecord) -> dict[str, Any]:
    row = {f"new_{column.name}": getattr(file, column.name) for column in FILES.c}
    return {**row, "of_blob": file.blob, "of_tenant": file.tenant, "of_owner": file.owner}


def this_file(principal: Principal, file_id: str) -> dict[str, Any]:
    if not _possible(file_id):
        raise _missing(file_id)
    return {**owned(principal), "of_file": file_id}


def _possible(file_id: str) -> bool:
    return file_id.isascii() and "\0" not in file_id


def _only(rows: Sequence[Row], file_id: str) -> Row:
    if not rows:
        raise _missing(file_id)
    return rows[0]


def _missing(file_id: str) -> NotFound:
    return NotFound(f"There is no file {file_id[:100]!r}.", param="file_id")


def _full(what: str, name: str) -> InvalidRequest:
    return InvalidRequest(
        f"There is no room for the file: {what}. Delete some, or raise {setting(name)}.", code="storage_quota_exceeded"
    )


def _record(row: Row) -> FileRecord:
    return FileRecord(*row)
