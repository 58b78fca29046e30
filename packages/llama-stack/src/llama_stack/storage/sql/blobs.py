"""Contents that files providers keep: which there are, whose bytes are on their way, and which must go.

A row is there before the bytes are and goes after them, so that a crash leaves nothing that nobody knows of:

    writing ──(with the row that refers to it)──▶ kept ──(with that row's removal)──▶ dropped ──▶ bytes gone, row gone
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from llama_stack.storage.sql.database import Database, Row
from llama_stack.storage.sql.tables import BLOBS
from llama_stack_api.ports.files import KeptContent

WRITING: Final = "writing"
KEPT: Final = "kept"
DROPPED: Final = "dropped"

OF_BLOB = sa.bindparam("of_blob", type_=sa.Text)
IS_WRITING = sa.exists(sa.select(1).where(BLOBS.c.id == OF_BLOB, BLOBS.c.state == WRITING))
"""Whether the content `of_blob` is still awaited: nobody took its writer for dead meanwhile."""
LOCATED = (BLOBS.c.id, BLOBS.c.tenant, BLOBS.c.provider, BLOBS.c.key, BLOBS.c.bytes, BLOBS.c.sha256)

_AT = sa.bindparam("at", type_=sa.Float(53))


@dataclass(frozen=True, slots=True)
class Blob:
    """Content and where it is. `key` is None where the writer ended before it was known."""

    id: str
    tenant: str
    provider: str
    key: str | None
    bytes: int
    sha256: str | None


def blob(row: Row) -> Blob:
    """`row` begins with the columns of `LOCATED`."""
    return Blob(*row[:6])


def keep_if(condition: sa.ColumnElement[bool]) -> sa.Executable:
    """The content `of_blob` has arrived. Its parameters are those of `kept_params`."""
    values = {
        name: sa.bindparam(f"kept_{name}", type_=BLOBS.c[name].type)
        for name in ("key", "bytes", "sha256", "touched_at")
    }
    return sa.update(BLOBS).where(BLOBS.c.id == OF_BLOB, condition).values(state=KEPT, **values)


def kept_params(blob_id: str, content: KeptContent, now: float) -> dict[str, Any]:
    return {
        "of_blob": blob_id,
        "kept_key": content.key,
        "kept_bytes": content.size,
        "kept_sha256": content.sha256,
        "kept_touched_at": now,
    }


def drop(which: sa.ColumnElement[bool]) -> sa.Executable:
    """Nothing refers to the content any more; with the parameter `at`, in Unix seconds. Gives rows of `LOCATED`."""
    return sa.update(BLOBS).where(which).values(state=DROPPED, touched_at=_AT).returning(*LOCATED)


class BlobTable:
    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._begin = database.prepare(
            sa.insert(BLOBS).values(
                id=sa.bindparam("new_id"),
                tenant=sa.bindparam("new_tenant"),
                provider=sa.bindparam("new_provider"),
                state=WRITING,
                bytes=0,
                touched_at=_AT,
            )
        )
        self._touch = database.prepare(sa.update(BLOBS).where(BLOBS.c.id == OF_BLOB).values(touched_at=_AT))
        self._abandon = database.prepare(
            sa.update(BLOBS)
            .where(BLOBS.c.id == OF_BLOB, BLOBS.c.state == WRITING)
            .values(state=DROPPED, touched_at=_AT, key=sa.bindparam("known_key", type_=sa.Text))
            .returning(BLOBS.c.id)
        )
        self._forget = database.prepare(sa.delete(BLOBS).where(BLOBS.c.id == OF_BLOB, BLOBS.c.state == DROPPED))
        self._take_over = database.prepare(_take_over())

    async def begin(self, blob_id: str, tenant: str, provider: str) -> None:
        """Before the first byte is written."""
        row = {"new_id": blob_id, "new_tenant": tenant, "new_provider": provider, "at": self._clock()}
        await self._database.write((self._begin, row))

    async def touch(self, blob_id: str) -> None:
        """A sign of life of whoever writes it, or of whoever tries to remove it."""
        await self._database.write((self._touch, {"of_blob": blob_id, "at": self._clock()}))

    async def abandon(self, blob_id: str, key: str | None) -> bool:
        """What was being written is to go. False where it is kept already, or somebody else saw to it."""
        params = {"of_blob": blob_id, "at": self._clock(), "known_key": key}
        (written,) = await self._database.write((self._abandon, params))
        return bool(written.rows)

    async def forget(self, blob_id: str) -> None:
        """The bytes of a dropped content are gone."""
        await self._database.write((self._forget, {"of_blob": blob_id}))

    async def unfinished(self, *, silent_s: float, retry_s: float, limit: int) -> list[Blob]:
        """Contents to remove: those whose writer gave no sign of life for `silent_s` seconds, and dropped ones that
        nobody tried to remove for `retry_s`. They are this caller's until then."""
        now = self._clock()
        params = {"at": now, "silent_since": now - silent_s, "tried_before": now - retry_s, "rows_max": limit}
        (taken,) = await self._database.write((self._take_over, params))
        return [blob(row) for row in taken.rows]


def _take_over() -> sa.Executable:
    due = (
        sa.select(BLOBS.c.id)
        .where(
            sa.or_(
                sa.and_(
                    BLOBS.c.state == WRITING,
                    BLOBS.c.touched_at <= sa.bindparam("silent_since", type_=sa.Float(53)),
                ),
                sa.and_(
                    BLOBS.c.state == DROPPED,
                    BLOBS.c.touched_at <= sa.bindparam("tried_before", type_=sa.Float(53)),
                ),
            )
        )
        .limit(sa.bindparam("rows_max", type_=sa.Integer))
    )
    return sa.update(BLOBS).where(BLOBS.c.id.in_(due)).values(state=DROPPED, touched_at=_AT).returning(*LOCATED)
