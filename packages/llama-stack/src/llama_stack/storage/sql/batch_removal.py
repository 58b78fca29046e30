"""How batches go: their lines first, in slices, so that no removal holds the database for long."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from llama_stack.storage.sql.database import Database
from llama_stack.storage.sql.tables import BATCH_LINES as LINES
from llama_stack.storage.sql.tables import BATCHES, RUNS

_NOW = sa.bindparam("now", type_=sa.Float(53))
_BEFORE = sa.bindparam("before", type_=sa.Float(53))
_ROWS_MAX = sa.bindparam("rows_max", type_=sa.Integer)
_HAS_LINES = sa.exists(sa.select(1).where(LINES.c.batch == BATCHES.c.id))


class BatchRemoval:
    """Of anybody's batches."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        prepare = database.prepare
        self._lines = prepare(_lines_to_remove())
        self._archive = prepare(
            sa.update(BATCHES)
            .where(BATCHES.c.results_expire_at <= _NOW, ~_HAS_LINES)
            .values(results_expire_at=None, archived_at=_NOW)
        )
        self._batches = prepare(sa.delete(BATCHES).where(BATCHES.c.removed_at.is_not(None), ~_HAS_LINES))
        self._hide = prepare(_hide())
        self._fail = prepare(_fail())

    async def remove_lines(self, limit: int) -> int:
        """Up to so many lines of batches that were deleted, or whose results have expired; how many they were. Batches
        that have none left are archived or, if they were deleted, gone."""
        now = {"now": self._clock()}
        removed, _, _ = await self._database.write(
            (self._lines, {**now, "rows_max": limit}), (self._archive, now), (self._batches, {})
        )
        return removed.count

    async def remove_ended(self, before: float, limit: int) -> int:
        """Delete batches that ended before that time (Unix seconds); how many."""
        params = {"before": before, "now": self._clock(), "rows_max": limit}
        (hidden,) = await self._database.write((self._hide, params))
        return hidden.count

    async def fail_stranded(self, before: float, errors: str, limit: int) -> int:
        """End as failed, with these errors (a JSON array), batches made before that time (Unix seconds) which nobody
        carries out: the run never came to be, or ended without a word. How many they were."""
        params = {"before": before, "now": self._clock(), "new_errors": errors, "rows_max": limit}
        (failed,) = await self._database.write((self._fail, params))
        return failed.count


def _lines_to_remove() -> sa.Executable:
    over = sa.union(
        sa.select(BATCHES.c.id).where(BATCHES.c.removed_at.is_not(None)),
        sa.select(BATCHES.c.id).where(BATCHES.c.results_expire_at <= _NOW),
    )
    key = sa.tuple_(LINES.c.batch, LINES.c.line)
    slice_ = sa.select(LINES.c.batch, LINES.c.line).where(LINES.c.batch.in_(over)).limit(_ROWS_MAX)
    return sa.delete(LINES).where(key.in_(slice_))


def _hide() -> sa.Executable:
    ended = BATCHES.c.ended_at <= _BEFORE
    return _some(ended, BATCHES.c.ended_at).values(removed_at=_NOW, idempotency_key=None)


def _fail() -> sa.Executable:
    is_carried_out = sa.exists(sa.select(1).where(RUNS.c.id == BATCHES.c.run, RUNS.c.ended_at.is_(None)))
    stranded = sa.and_(BATCHES.c.ended_at.is_(None), BATCHES.c.created_at <= _BEFORE, ~is_carried_out)
    errors = sa.bindparam("new_errors", type_=sa.Text)
    return _some(stranded, BATCHES.c.created_at).values(
        status="failed", ended_at=_NOW, results_expire_at=_NOW, errors=errors
    )


def _some(which: sa.ColumnElement[bool], order: sa.ColumnElement[Any]) -> sa.Update:
    """Up to `rows_max` of them that nobody has deleted."""
    visible = BATCHES.c.removed_at.is_(None)
    some = sa.select(BATCHES.c.id).where(which, visible).order_by(order).limit(_ROWS_MAX)
    return sa.update(BATCHES).where(BATCHES.c.id.in_(some), which)
