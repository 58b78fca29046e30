"""Batches of requests and their lines, for their owner, who alone can see them.

A line is settled once: what has an outcome never changes. The batch's counts and usage change in that transaction, so
they are those of the settled lines at any moment, whoever else settles them too (a worker that was taken for dead).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from llama_stack.storage.sql.batch_records import (
    BatchApi,
    BatchPage,
    BatchRecord,
    CreatedBatch,
    EndedStatus,
    LineOutcome,
    LineResult,
    LineUsage,
    NewLine,
    PendingLine,
    SettledLine,
)
from llama_stack.storage.sql.database import Database, Params, Prepared
from llama_stack.storage.sql.parameters import is_owned, new, new_row, owned
from llama_stack.storage.sql.tables import BATCH_LINES as LINES
from llama_stack.storage.sql.tables import BATCHES
from llama_stack_api.errors import Conflict, InvalidRequest, NotFound
from llama_stack_api.principal import Principal

OUTCOMES: Final[tuple[LineOutcome, ...]] = ("succeeded", "errored", "expired", "canceled")
CANCELLABLE: Final = ("validating", "in_progress")
_Steps: TypeAlias = Sequence[tuple[Prepared, Params]]
_ADDED: Final = (*OUTCOMES, *LineUsage._fields)
"""Columns of a batch that its settled lines add up to."""

_RECORD: Final = tuple(BATCHES.c[field.name] for field in fields(BatchRecord))
_ID = sa.bindparam("of_batch", type_=sa.Text)
_AT = sa.bindparam("at", type_=sa.Float(53))
_IS_IT = BATCHES.c.id == _ID
_VISIBLE = (*is_owned(BATCHES), BATCHES.c.api == sa.bindparam("of_api", type_=sa.Text), BATCHES.c.removed_at.is_(None))
"""Part of every statement that a client asks for: for anyone else, the batch does not exist."""
_THIS = (*_VISIBLE, _IS_IT)
_UNSETTLED = (LINES.c.batch == _ID, LINES.c.request.is_not(None))
_THIS_LINE = (*_UNSETTLED, LINES.c.line == sa.bindparam("of_line", type_=sa.BigInteger))


class BatchTable:
    """Methods that take a principal find only what is theirs; the rest is `NotFound`. The others are for whoever
    carries a batch out."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        prepare = database.prepare
        self._insert = prepare(
            database.insert(BATCHES)
            .values(new_row(BATCHES))
            .on_conflict_do_nothing(
                index_elements=[BATCHES.c.tenant, BATCHES.c.owner, BATCHES.c.api, BATCHES.c.idempotency_key]
            )
            .returning(BATCHES.c.id)
        )
        self._add_line = prepare(
            database.insert(LINES)
            .values({name: new(LINES.c[name]) for name in ("batch", "line", "custom_id", "request")})
            .on_conflict_do_nothing(index_elements=[LINES.c.batch, LINES.c.line])
        )
        # First of all: it makes others who settle lines of the batch wait, so that what is asked afterwards stays true.
        self._hold = prepare(sa.update(BATCHES).where(_IS_IT).values(status=BATCHES.c.status))
        self._count_line = prepare(_count_line())
        self._settle_line = prepare(_settle_line())
        self._count_rest = {outcome: prepare(_count_rest(outcome)) for outcome in OUTCOMES}
        self._settle_rest = prepare(_settle_rest())
        self._begin = prepare(_begin())
        self._finalize = prepare(
            sa.update(BATCHES)
            .where(_IS_IT, BATCHES.c.status == "in_progress")
            .values(status="finalizing", finalizing_at=_AT)
        )
        self._end = prepare(_end())
        self._cancel = prepare(
            sa.update(BATCHES)
            .where(*_THIS, BATCHES.c.status.in_([sa.literal(status) for status in CANCELLABLE]))
            .values(status="cancelling", cancelling_at=_AT)
        )
        self._remove = prepare(
            sa.update(BATCHES)
            .where(*_THIS, BATCHES.c.ended_at.is_not(None))
            .values(removed_at=_AT, idempotency_key=None)
            .returning(BATCHES.c.id)
        )

        self._withdraw = prepare(
            sa.update(BATCHES)
            .where(_IS_IT, BATCHES.c.ended_at.is_(None))
            .values(status="failed", ended_at=_AT, results_expire_at=_AT, removed_at=_AT, idempotency_key=None)
        )

    async def create(self, batch: BatchRecord) -> CreatedBatch:
        """The batch, without lines; or, where its owner has one with this idempotency key, that one as it is."""
        row = {f"new_{field.name}": getattr(batch, field.name) for field in fields(BatchRecord)}
        (written,) = await self._database.write((self._insert, row))
        if written.rows or batch.idempotency_key is None:
            return CreatedBatch(batch, bool(written.rows))
        known = await self.of_key(Principal(id=batch.owner, tenant=batch.tenant), batch.api, batch.idempotency_key)
        if known is None:
            raise Conflict("A batch of this idempotency key was just deleted; send the request again.")
        return CreatedBatch(known, False)

    async def of_key(self, principal: Principal, api: BatchApi, key: str) -> BatchRecord | None:
        """The one that was created with this idempotency key."""
        has_key = BATCHES.c.idempotency_key == sa.bindparam("of_key", type_=sa.Text)
        query = sa.select(*_RECORD).where(*_VISIBLE, has_key)
        rows = await self._database.read(query, {**owned(principal), "of_api": api, "of_key": key})
        return BatchRecord(*rows[0]) if rows else None

    async def get(self, principal: Principal, api: BatchApi, batch_id: str) -> BatchRecord:
        rows = await self._database.read(sa.select(*_RECORD).where(*_THIS), _this(principal, api, batch_id))
        if not rows:
            raise _missing(batch_id)
        return BatchRecord(*rows[0])

    async def find(self, batch_id: str) -> BatchRecord | None:
        """Anybody's, also one that nobody sees any more."""
        rows = await self._database.read(sa.select(*_RECORD).where(_IS_IT), {"of_batch": batch_id})
        return BatchRecord(*rows[0]) if rows else None

    async def list(
        self, principal: Principal, api: BatchApi, *, after: str | None = None, before: str | None = None, limit: int
    ) -> BatchPage:
        """The newest first: those behind (older than) the batch `after`, or the last ones in front of (newer than) the
        batch `before`. `InvalidRequest` if there is no such batch."""
        query = sa.select(*_RECORD).where(*_VISIBLE)
        place = sa.tuple_(BATCHES.c.created_at, BATCHES.c.id)
        if after is not None:
            query = query.where(place < await self._place(principal, api, after, "after"))
        if before is not None:
            query = query.where(place > await self._place(principal, api, before, "before"))
        upwards = before is not None and after is None
        keys = (BATCHES.c.created_at, BATCHES.c.id)
        query = query.order_by(*(keys if upwards else (key.desc() for key in keys))).limit(limit + 1)
        rows = await self._database.read(query, {**owned(principal), "of_api": api})
        items = [BatchRecord(*row) for row in rows[:limit]]
        return BatchPage(items[::-1] if upwards else items, has_more=len(rows) > limit)

    async def request_cancel(self, principal: Principal, api: BatchApi, batch_id: str) -> BatchRecord:
        """It is `cancelling` from now on, if it is not over; whoever carries it out looks at that."""
        await self._database.write((self._cancel, {**_this(principal, api, batch_id), "at": self._clock()}))
        return await self.get(principal, api, batch_id)

    async def delete(self, principal: Principal, api: BatchApi, batch_id: str) -> None:
        """Nobody sees it any more; `BatchRemoval` removes it. `Conflict` if it has not ended."""
        (removed,) = await self._database.write(
            (self._remove, {**_this(principal, api, batch_id), "at": self._clock()})
        )
        if not removed.rows:
            batch = await self.get(principal, api, batch_id)
            raise Conflict(f"The batch is {batch.status}: cancel it, and delete it once it has ended.")

    async def withdraw(self, batch_id: str) -> None:
        """One that came to nothing before its owner knew of it: nobody has seen it, and it goes."""
        await self._database.write((self._withdraw, {"of_batch": batch_id, "at": self._clock()}))

    async def add_lines(self, batch_id: str, lines: Sequence[NewLine]) -> None:
        """Those that are there already stay as they are."""
        rows = [
            {"new_batch": batch_id, **{f"new_{name}": value for name, value in line._asdict().items()}}
            for line in lines
        ]
        if rows:
            await self._database.write(*((self._add_line, row) for row in rows))

    async def begin(self, batch_id: str, *, total: int, model: str | None) -> None:
        """All lines are there: from `validating` to `in_progress`, unless it was cancelled meanwhile."""
        row = {"of_batch": batch_id, "at": self._clock(), "new_total": total, "new_model": model}
        await self._database.write((self._begin, row), durable=True)

    async def take(self, batch_id: str, *, after_line: int = -1, limit: int) -> Sequence[PendingLine]:
        """Lines behind `after_line` that are not settled, in order."""
        query = sa.select(LINES.c.line, LINES.c.custom_id, LINES.c.request).where(*_UNSETTLED)
        rows = await self._database.read(_page(query, after_line, limit), {"of_batch": batch_id})
        return [PendingLine(*row) for row in rows]

    async def settle(self, batch_id: str, results: Sequence[LineResult]) -> None:
        """Of those that are settled already, the earlier outcome stays."""
        steps = [step for result in results for step in self._settling(batch_id, result)]
        await self._database.write((self._hold, {"of_batch": batch_id}), *steps)

    async def settle_rest(self, batch_id: str, outcome: LineOutcome, *, limit: int = 1000) -> int:
        """Settle up to so many of the lines that are not, without an answer; how many they were."""
        params = {"of_batch": batch_id, "rows_max": limit, "new_outcome": outcome}
        _, _, settled = await self._database.write(
            (self._hold, params), (self._count_rest[outcome], params), (self._settle_rest, params)
        )
        return settled.count

    async def results(self, batch_id: str, *, after_line: int = -1, limit: int) -> Sequence[SettledLine]:
        """Settled lines behind `after_line`, in order."""
        columns = [LINES.c[name] for name in ("line", "custom_id", "outcome", "status", "request_id", "result")]
        query = sa.select(*columns).where(LINES.c.batch == _ID, LINES.c.outcome.is_not(None))
        rows = await self._database.read(_page(query, after_line, limit), {"of_batch": batch_id})
        return [SettledLine(*row) for row in rows]

    async def finalize(self, batch_id: str) -> None:
        """From `in_progress` to `finalizing`; one that was cancelled stays `cancelling`."""
        await self._database.write((self._finalize, {"of_batch": batch_id, "at": self._clock()}))

    async def end(
        self,
        batch_id: str,
        status: EndedStatus,
        *,
        errors: str | None = None,
        output_file: str | None = None,
        error_file: str | None = None,
        results_kept_s: float = 0,
    ) -> bool:
        """It is over, once: False if it was before. Its lines go `results_kept_s` seconds from now."""
        now = self._clock()
        row = {"status": status, "errors": errors, "output_file": output_file, "error_file": error_file}
        params = {f"new_{name}": value for name, value in row.items()}
        ended = {"of_batch": batch_id, "at": now, "new_results_expire_at": now + results_kept_s}
        (written,) = await self._database.write((self._end, {**params, **ended}), durable=True)
        return bool(written.rows)

    def _settling(self, batch_id: str, result: LineResult) -> _Steps:
        this = {"of_batch": batch_id, "of_line": result.line}
        counts = {f"add_{outcome}": int(outcome == result.outcome) for outcome in OUTCOMES}
        tokens = {f"add_{name}": value for name, value in result.usage._asdict().items()}
        answer = {"outcome": result.outcome, "status": result.status, "request_id": result.request_id}
        settled = {f"new_{name}": value for name, value in {**answer, "result": result.body}.items()}
        return [(self._count_line, {**this, **counts, **tokens}), (self._settle_line, {**this, **settled})]

    async def _place(self, principal: Principal, api: BatchApi, batch_id: str, param: str) -> Any:
        try:
            batch = await self.get(principal, api, batch_id)
        except NotFound:
            raise InvalidRequest(f"There is no batch {batch_id[:100]!r} to list from.", param=param) from None
        return sa.tuple_(sa.literal(batch.created_at, sa.Float(53)), sa.literal(batch.id))


def _count_line() -> sa.Executable:
    added = {name: BATCHES.c[name] + sa.bindparam(f"add_{name}", type_=sa.BigInteger) for name in _ADDED}
    return sa.update(BATCHES).where(_IS_IT, sa.exists(sa.select(1).where(*_THIS_LINE))).values(added)


def _settle_line() -> sa.Executable:
    values = {name: new(LINES.c[name]) for name in ("outcome", "status", "request_id", "result")}
    return sa.update(LINES).where(*_THIS_LINE).values({**values, "request": None})


def _rest() -> sa.Select[Any]:
    query = sa.select(LINES.c.line).where(*_UNSETTLED).order_by(LINES.c.line)
    return query.limit(sa.bindparam("rows_max", type_=sa.Integer))


def _count_rest(outcome: LineOutcome) -> sa.Executable:
    count = sa.select(sa.func.count()).select_from(_rest().subquery()).scalar_subquery()
    return sa.update(BATCHES).where(_IS_IT).values({outcome: BATCHES.c[outcome] + count})


def _settle_rest() -> sa.Executable:
    lines = sa.update(LINES).where(LINES.c.batch == _ID, LINES.c.line.in_(_rest()))
    return lines.values(outcome=new(LINES.c.outcome), request=None)


def _begin() -> sa.Executable:
    was_validating = BATCHES.c.status == "validating"
    return (
        sa.update(BATCHES)
        .where(_IS_IT, BATCHES.c.in_progress_at.is_(None), BATCHES.c.ended_at.is_(None))
        .values(
            status=sa.case((was_validating, "in_progress"), else_=BATCHES.c.status),
            in_progress_at=_AT,
            total=new(BATCHES.c.total),
            model=new(BATCHES.c.model),
        )
    )


def _end() -> sa.Executable:
    values = ("status", "errors", "output_file", "error_file", "results_expire_at")
    return (
        sa.update(BATCHES)
        .where(_IS_IT, BATCHES.c.ended_at.is_(None))
        .values({**{name: new(BATCHES.c[name]) for name in values}, "ended_at": _AT})
        .returning(BATCHES.c.id)
    )


def _page(query: sa.Select[Any], after_line: int, limit: int) -> sa.Select[Any]:
    return query.where(LINES.c.line > sa.literal(after_line, sa.BigInteger)).order_by(LINES.c.line).limit(limit)


def _this(principal: Principal, api: BatchApi, batch_id: str) -> dict[str, Any]:
    if not batch_id.isascii() or "\0" in batch_id:
        raise _missing(batch_id)
    return {**owned(principal), "of_api": api, "of_batch": batch_id}


def _missing(batch_id: str) -> NotFound:
    return NotFound(f"There is no batch {batch_id[:100]!r}.", param="batch_id")
