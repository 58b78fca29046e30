"""Files that come in parts: what was announced, what has arrived, and the one transaction that makes it a file."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import sqlalchemy as sa

from llama_stack.config.files import FilesConfig, setting
from llama_stack.storage.sql.blobs import IS_WRITING, LOCATED, OF_BLOB, Blob, blob, drop, keep_if, kept_params
from llama_stack.storage.sql.database import Database
from llama_stack.storage.sql.files import HELD_BYTES, KEEP_FOR_FILE, NOW, FileRecord, file_params, insert_file
from llama_stack.storage.sql.parameters import is_owned, new_row, owned
from llama_stack.storage.sql.tables import BLOBS, FILES, UPLOAD_PARTS, UPLOADS
from llama_stack_api.errors import InvalidRequest, NotFound
from llama_stack_api.ports.files import KeptContent
from llama_stack_api.principal import Principal

PENDING: Final = "pending"
COMPLETED: Final = "completed"
CANCELLED: Final = "cancelled"
EXPIRED: Final = "expired"
FORGET_AFTER_S: Final = 24 * 3600.0
"""How long it is known what became of an upload."""

_OWNED = is_owned(UPLOADS)
"""Part of every statement but the sweep's: for anyone else, the upload does not exist."""
_OF_UPLOAD = sa.bindparam("of_upload", type_=sa.Text)
_THIS = (*_OWNED, UPLOADS.c.id == _OF_UPLOAD)
_OPEN = (UPLOADS.c.status == PENDING, UPLOADS.c.expires_at > NOW)
_RECORD = tuple(UPLOADS.c)


@dataclass(frozen=True, slots=True)
class UploadRecord:
    """Times are Unix seconds. `status` is pending, completed, cancelled or expired; `file` is what it became."""

    id: str
    tenant: str
    owner: str
    created_at: float
    expires_at: float
    filename: str
    purpose: str
    mime_type: str
    bytes: int
    file_expires_after_s: int | None
    status: str = PENDING
    file: str | None = None


@dataclass(frozen=True, slots=True)
class PartRecord:
    id: str
    upload: str
    created_at: float
    bytes: int
    blob: str


class UploadTable:
    """Each method that takes a principal finds only what is theirs; the rest is `NotFound`."""

    def __init__(
        self, database: Database, *, limits: FilesConfig | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._limits = limits = limits or FilesConfig()
        self._clock = clock
        self._create = database.prepare(_create(limits))
        # First of all: it makes others who would change the upload wait, so that what is asked afterwards stays true.
        self._hold = database.prepare(sa.update(UPLOADS).where(*_THIS).values(status=UPLOADS.c.status))
        self._add_part = database.prepare(_add_part(limits))
        self._keep_part = database.prepare(keep_if(sa.exists(sa.select(1).where(UPLOAD_PARTS.c.blob == OF_BLOB))))
        is_pending = sa.exists(sa.select(1).where(*_THIS, UPLOADS.c.status == PENDING))
        counted = limits.model_copy(update={"bytes_total_max": None})  # the parts, when they came
        self._insert_file = database.prepare(insert_file(counted, sa.and_(IS_WRITING, is_pending)))
        self._keep_file = database.prepare(KEEP_FOR_FILE)
        became = sa.bindparam("became", type_=sa.Text)
        is_there = sa.exists(sa.select(1).where(FILES.c.id == became))
        self._complete = database.prepare(
            sa.update(UPLOADS).where(*_THIS, is_there).values(status=COMPLETED, file=became).returning(UPLOADS.c.id)
        )
        self._cancel = database.prepare(
            sa.update(UPLOADS).where(*_THIS, *_OPEN).values(status=CANCELLED).returning(*_RECORD)
        )
        of_this = sa.select(UPLOADS.c.id).where(*_THIS, UPLOADS.c.status != PENDING)
        self._drop_parts = database.prepare(drop(_blob_of_part_of(of_this)))
        self._delete_parts = database.prepare(sa.delete(UPLOAD_PARTS).where(UPLOAD_PARTS.c.upload.in_(of_this)))
        self._expire = database.prepare(_expire())
        over = sa.select(UPLOADS.c.id).where(UPLOADS.c.status == EXPIRED)
        self._drop_expired = database.prepare(drop(_blob_of_part_of(over)))
        self._delete_expired = database.prepare(sa.delete(UPLOAD_PARTS).where(UPLOAD_PARTS.c.upload.in_(over)))
        self._forget = database.prepare(_forget())

    async def create(self, upload: UploadRecord) -> None:
        owner = {"of_tenant": upload.tenant, "of_owner": upload.owner, "now": self._clock()}
        row = {f"new_{column.name}": getattr(upload, column.name) for column in UPLOADS.c}
        (written,) = await self._database.write((self._create, {**row, **owner}))
        if not written.rows:
            raise InvalidRequest(
                f"You have {self._limits.uploads_max} uploads that are not completed. Complete or cancel one, or raise "
                f"{setting('uploads_max')}."
            )

    async def get(self, principal: Principal, upload_id: str) -> UploadRecord:
        rows = await self._database.read(sa.select(*_RECORD).where(*_THIS), _this(principal, upload_id))
        if not rows:
            raise _missing(upload_id)
        upload = UploadRecord(*rows[0])
        if upload.status == PENDING and upload.expires_at <= self._clock():
            return replace(upload, status=EXPIRED)
        return upload

    async def add_part(self, principal: Principal, part: PartRecord, content: KeptContent) -> None:
        """`InvalidRequest` if the upload takes no more parts, or has no room for this one."""
        params = {
            **_this(principal, part.upload),
            **{f"new_{column.name}": getattr(part, column.name) for column in UPLOAD_PARTS.c},
            "of_blob": part.blob,
            "now": self._clock(),
        }
        _, added, _ = await self._database.write(
            (self._hold, params),
            (self._add_part, params),
            (self._keep_part, kept_params(part.blob, content, self._clock())),
        )
        if not added.rows:
            raise InvalidRequest(
                "The upload takes no more parts: it is over, or has as many or as large ones as it may. The limits are "
                f"{setting('parts_max')}, {setting('upload_bytes_max')} and {setting('bytes_total_max')}."
            )

    async def parts(self, upload_id: str) -> dict[str, Blob]:
        """The contents of its parts by their ids."""
        query = (
            sa.select(*LOCATED, UPLOAD_PARTS.c.id)
            .join_from(UPLOAD_PARTS, BLOBS, UPLOAD_PARTS.c.blob == BLOBS.c.id)
            .where(UPLOAD_PARTS.c.upload == _OF_UPLOAD)
        )
        return {row[-1]: blob(row) for row in await self._database.read(query, {"of_upload": upload_id})}

    async def complete(
        self, principal: Principal, upload_id: str, file: FileRecord, content: KeptContent
    ) -> list[Blob] | None:
        """The upload is the file from now on; gives the contents of its parts, which are dropped. None where it is not
        pending any more, or there is no room for the file: then nothing has changed."""
        this, now = _this(principal, upload_id), self._clock()
        _, _, _, done, dropped, _ = await self._database.write(
            (self._hold, this),
            (self._insert_file, {**file_params(file), **this}),
            (self._keep_file, kept_params(file.blob, content, now)),
            (self._complete, {**this, "became": file.id}),
            (self._drop_parts, {**this, "at": now}),
            (self._delete_parts, this),
        )
        return [blob(row) for row in dropped.rows] if done.rows else None

    async def cancel(self, principal: Principal, upload_id: str) -> tuple[UploadRecord, list[Blob]] | None:
        """The upload and its parts' contents, which are dropped; None where it is not pending any more."""
        this, now = _this(principal, upload_id), self._clock()
        cancelled, dropped, _ = await self._database.write(
            (self._cancel, {**this, "now": now}), (self._drop_parts, {**this, "at": now}), (self._delete_parts, this)
        )
        if not cancelled.rows:
            return None
        return UploadRecord(*cancelled.rows[0]), [blob(row) for row in dropped.rows]

    async def expire_due(self, limit: int, *, grace_s: float) -> int:
        """Uploads of anybody that expired more than `grace_s` seconds ago are over, and their parts dropped; how many
        there were. What became of uploads is forgotten in time."""
        now = self._clock()
        due = {"due": now - grace_s, "rows_max": limit}
        old = {"long_ago": now - FORGET_AFTER_S, "rows_max": limit}
        never_tried = {"at": 0.0}  # so that the sweep removes their contents in this round
        expired, _, _, _ = await self._database.write(
            (self._expire, due), (self._drop_expired, never_tried), (self._delete_expired, {}), (self._forget, old)
        )
        return len(expired.rows)


def _blob_of_part_of(uploads: sa.Select[Any]) -> sa.ColumnElement[bool]:
    return BLOBS.c.id.in_(sa.select(UPLOAD_PARTS.c.blob).where(UPLOAD_PARTS.c.upload.in_(uploads)))


def _create(limits: FilesConfig) -> sa.Executable:
    new = new_row(UPLOADS)
    mine = sa.select(sa.func.count()).select_from(UPLOADS).where(*_OWNED, *_OPEN).scalar_subquery()
    row = sa.select(*new.values()).where(mine < sa.literal(limits.uploads_max, sa.BigInteger))
    return sa.insert(UPLOADS).from_select(list(new), row).returning(UPLOADS.c.id)


def _add_part(limits: FilesConfig) -> sa.Executable:
    new = new_row(UPLOAD_PARTS)
    of_upload = UPLOAD_PARTS.c.upload == _OF_UPLOAD
    count = sa.select(sa.func.count()).select_from(UPLOAD_PARTS).where(of_upload).scalar_subquery()
    held = sa.select(sa.func.coalesce(sa.func.sum(UPLOAD_PARTS.c.bytes), 0)).where(of_upload).scalar_subquery()
    row = sa.select(*new.values()).where(
        sa.exists(sa.select(1).where(*_THIS, *_OPEN)),
        IS_WRITING,
        count < sa.literal(limits.parts_max, sa.BigInteger),
        held + new["bytes"] <= sa.literal(limits.upload_bytes_max, sa.BigInteger),
    )
    if limits.bytes_total_max is not None:
        row = row.where(HELD_BYTES + new["bytes"] <= sa.literal(limits.bytes_total_max, sa.BigInteger))
    return sa.insert(UPLOAD_PARTS).from_select(list(new), row).returning(UPLOAD_PARTS.c.id)


def _expire() -> sa.Executable:
    due = (
        sa.select(UPLOADS.c.id)
        .where(UPLOADS.c.status == PENDING, UPLOADS.c.expires_at <= sa.bindparam("due", type_=sa.Float(53)))
        .order_by(UPLOADS.c.expires_at)
        .limit(sa.bindparam("rows_max", type_=sa.Integer))
    )
    expired = sa.update(UPLOADS).where(UPLOADS.c.id.in_(due), UPLOADS.c.status == PENDING)
    return expired.values(status=EXPIRED).returning(UPLOADS.c.id)


def _forget() -> sa.Executable:
    old = (
        sa.select(UPLOADS.c.id)
        .where(UPLOADS.c.status != PENDING, UPLOADS.c.expires_at <= sa.bindparam("long_ago", type_=sa.Float(53)))
        .limit(sa.bindparam("rows_max", type_=sa.Integer))
    )
    return sa.delete(UPLOADS).where(UPLOADS.c.id.in_(old))


def _this(principal: Principal, upload_id: str) -> dict[str, Any]:
    if not upload_id.isascii() or "\0" in upload_id:
        raise _missing(upload_id)
    return {**owned(principal), "of_upload": upload_id}


def _missing(upload_id: str) -> NotFound:
    return NotFound(f"There is no upload {upload_id[:100]!r}.", param="upload_id")
