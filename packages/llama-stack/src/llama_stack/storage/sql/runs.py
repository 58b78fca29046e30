"""The statements of the run journal. What they mean together is `llama_stack.runs.journal`'s concern.

Whatever a worker writes is conditional on the fence that it was given: an INSERT selects from the run's row, an UPDATE
goes through it, and on PostgreSQL both hold a lock on that row until the commit, so a change of hands waits or is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from llama_stack.storage.sql.database import Database, Prepared
from llama_stack.storage.sql.tables import RUN_DOCUMENTS, RUN_EVENTS, RUN_STEPS, RUNS

CHANNEL = "ls_runs"
"""Where PostgreSQL says what happened: `q` a run was queued, `e<id>` events or an end, `c<id>` a change of hands."""
EVENTS_PER_ROW_MAX = 1024

RUN = (
    RUNS.c.id,
    RUNS.c.tenant,
    RUNS.c.owner,
    RUNS.c.kind,
    RUNS.c.status,
    RUNS.c.background,
    RUNS.c.parent,
    RUNS.c.fence,
    RUNS.c.attempts,
    RUNS.c.created_at,
    RUNS.c.updated_at,
    RUNS.c.started_at,
    RUNS.c.ended_at,
    RUNS.c.error,
)
STEP = (
    RUN_STEPS.c.number,
    RUN_STEPS.c.key,
    RUN_STEPS.c.kind,
    RUN_STEPS.c.status,
    RUN_STEPS.c.idempotent,
    RUN_STEPS.c.intent,
    RUN_STEPS.c.result,
)

_OF_RUN = RUNS.c.id == sa.bindparam("of_run")
_HELD = (_OF_RUN, RUNS.c.fence == sa.bindparam("of_fence"))
"""The run is still in the hands of whoever was given this fence."""
_OWNED = (RUNS.c.tenant == sa.bindparam("of_tenant"), RUNS.c.owner == sa.bindparam("of_owner"))
"""Part of every statement that an owner's request runs: for anyone else, the row does not exist."""
_THIS = (*_OWNED, _OF_RUN)
_NOW = sa.bindparam("now", type_=RUNS.c.updated_at.type)


class RunStatements:
    """Prepared writes and queries, made once for a database. Their parameters are the names in `sa.bindparam`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        prepare = database.prepare
        self.create_queued = prepare(self._create_queued())
        self.create_held = prepare(self._on_conflict(sa.select(*_new_run())).returning(RUNS.c.id))
        self.document = prepare(
            _insert_if_held(
                RUN_DOCUMENTS, run=RUNS.c.id, name=_new(RUN_DOCUMENTS.c.name), body=_new(RUN_DOCUMENTS.c.body)
            )
        )
        self.events = prepare(self._events())
        self.events_of_many = prepare(self._events(skip_conflicts=True))
        self.begin_step = prepare(self._begin_step())
        self.end_step = prepare(self._update_step())
        self.interrupt_steps = prepare(_interrupt_steps())
        self.finish = prepare(self._finish())
        self.seize = prepare(
            sa.update(RUNS)
            .where(*_THIS, RUNS.c.ready_at.is_not(None))
            .values(fence=RUNS.c.fence + 1, holder=None, ready_at=_new(RUNS.c.ready_at))
            .returning(*RUN)
        )
        self.release = prepare(self._release())
        self.renew = prepare(_renew())
        self.free = prepare(
            sa.update(RUNS).where(RUNS.c.holder == sa.bindparam("of_holder")).values(ready_at=_NOW).returning(RUNS.c.id)
        )
        self.delete = prepare(sa.delete(RUNS).where(*_THIS).returning(RUNS.c.id, *self._notify("c", RUNS.c.id)))
        self.sweep = prepare(_sweep())

        self.get = sa.select(*RUN).where(*_THIS)
        self.by_key = sa.select(*RUN).where(
            *_OWNED, RUNS.c.kind == sa.bindparam("of_kind"), RUNS.c.idempotency_key == sa.bindparam("of_key")
        )
        self.document_of = (
            sa.select(RUN_DOCUMENTS.c.body)
            .join_from(RUN_DOCUMENTS, RUNS, RUNS.c.id == RUN_DOCUMENTS.c.run)
            .where(*_THIS, RUN_DOCUMENTS.c.name == sa.bindparam("of_name"))
        )
        self.fence_of = sa.select(RUNS.c.fence).where(_OF_RUN)
        self.payload_of = sa.select(RUN_DOCUMENTS.c.body).where(
            RUN_DOCUMENTS.c.run == sa.bindparam("of_run"), RUN_DOCUMENTS.c.name == "payload"
        )
        self.steps_of = sa.select(*STEP).where(RUN_STEPS.c.run == sa.bindparam("of_run")).order_by(RUN_STEPS.c.number)
        self.last_event = (
            sa.select(RUN_EVENTS.c.last)
            .where(RUN_EVENTS.c.run == sa.bindparam("of_run"))
            .order_by(RUN_EVENTS.c.first.desc())
            .limit(1)
        )
        self.log_bytes = sa.select(sa.func.coalesce(sa.func.sum(sa.func.length(RUN_EVENTS.c.body)), 0)).where(
            RUN_EVENTS.c.run == sa.bindparam("of_run")
        )
        self.events_of = _events_of()
        self.holders = sa.select(RUNS.c.holder).where(RUNS.c.holder.is_not(None)).distinct()

    def claim(self, kinds: Sequence[str]) -> Prepared:
        ready = (
            sa.select(RUNS.c.id)
            .where(RUNS.c.kind.in_([sa.literal(kind) for kind in kinds]), RUNS.c.ready_at <= _NOW)
            .order_by(RUNS.c.ready_at)
            .limit(sa.bindparam("count_max", type_=sa.Integer))
            .with_for_update(skip_locked=True)
            .cte("ready")
        )
        values = {
            "status": "running",
            "fence": RUNS.c.fence + 1,
            "attempts": RUNS.c.attempts + 1,
            "holder": sa.bindparam("new_holder", type_=sa.Text),
            "ready_at": sa.bindparam("new_ready_at", type_=sa.Float(53)),
            "started_at": sa.func.coalesce(RUNS.c.started_at, _NOW),
            "updated_at": _NOW,
        }
        return self._database.prepare(
            sa.update(RUNS).where(RUNS.c.id.in_(sa.select(ready.c.id))).values(values).returning(*RUN)
        )

    def list_of(
        self, after: tuple[float, str] | None, *, ascending: bool, limit: int, parent: bool = False
    ) -> sa.Select[Any]:
        """Pages by creation; `after` is the time and id of the last one seen."""
        query = sa.select(*RUN).where(*_OWNED, RUNS.c.kind == sa.bindparam("of_kind"))
        if parent:
            query = query.where(RUNS.c.parent == sa.bindparam("of_parent"))
        place = (RUNS.c.created_at, RUNS.c.id)
        if after is not None:
            cursor = sa.tuple_(*(sa.literal(value) for value in after))
            query = query.where(sa.tuple_(*place) > cursor if ascending else sa.tuple_(*place) < cursor)
        return query.order_by(*(place if ascending else (column.desc() for column in place))).limit(limit)

    def _notify(self, what: str, run: sa.ColumnElement[str] | None = None) -> tuple[sa.ColumnElement[Any], ...]:
        """A column for RETURNING that tells other processes at the commit."""
        if not self._database.shared:
            return ()
        message = sa.literal(what, sa.Text)
        return (sa.func.pg_notify(CHANNEL, message if run is None else message + run),)

    def _on_conflict(self, rows: sa.Select[Any]) -> Any:
        names = [column.name for column in RUNS.c]
        return self._database.insert(RUNS).from_select(names, rows.where(sa.true())).on_conflict_do_nothing()

    def _create_queued(self) -> sa.Executable:
        longest = sa.bindparam("queued_max", type_=sa.Integer)
        queued: sa.Select[Any] = sa.select(sa.literal_column("1").label("one")).where(
            RUNS.c.tenant == sa.bindparam("new_tenant"), RUNS.c.status == "queued"
        )
        count = sa.select(sa.func.count()).select_from(queued.limit(longest).subquery()).scalar_subquery()
        statement: sa.Executable = self._on_conflict(sa.select(*_new_run()).where(count < longest)).returning(
            RUNS.c.id, *self._notify("q")
        )
        return statement

    def _events(self, *, skip_conflicts: bool = False) -> sa.Executable:
        """One row on SQLite; on PostgreSQL any number, of any number of runs, from arrays."""
        names = [column.name for column in RUN_EVENTS.c]
        if not self._database.shared:
            rows = _if_held(RUNS.c.id, *(_new(column) for column in list(RUN_EVENTS.c)[1:]))
        else:
            rows = _event_rows_from_arrays()
        insert = self._database.insert(RUN_EVENTS).from_select(names, rows)
        if skip_conflicts:
            insert = insert.on_conflict_do_nothing()
        statement: sa.Executable = insert.returning(RUN_EVENTS.c.run, *self._notify("e", RUN_EVENTS.c.run))
        return statement

    def _begin_step(self) -> sa.Executable:
        values = {
            column.name: _new(column)
            for column in RUN_STEPS.c
            if column.name not in ("run", "fence", "result", "ended_at")
        }
        insert = self._database.insert(RUN_STEPS).from_select(
            ["run", "fence", *values], _if_held(RUNS.c.id, RUNS.c.fence, *values.values())
        )
        again = {name: insert.excluded[name] for name in ("status", "fence", "started_at")}
        statement: sa.Executable = insert.on_conflict_do_update(
            index_elements=[RUN_STEPS.c.run, RUN_STEPS.c.key], set_=again
        ).returning(RUN_STEPS.c.run)
        return statement

    def _update_step(self) -> sa.Executable:
        held = sa.select(RUNS.c.id).where(*_HELD).with_for_update(key_share=True).cte("held")
        return (
            sa.update(RUN_STEPS)
            .where(RUN_STEPS.c.run.in_(sa.select(held.c.id)), RUN_STEPS.c.key == sa.bindparam("of_key"))
            .values({name: _new(RUN_STEPS.c[name]) for name in ("status", "result", "ended_at")})
            .returning(RUN_STEPS.c.run)
        )

    def _finish(self) -> sa.Executable:
        return (
            sa.update(RUNS)
            .where(*_HELD)
            .values(
                status=_new(RUNS.c.status),
                error=_new(RUNS.c.error),
                expires_at=_new(RUNS.c.expires_at),
                fence=RUNS.c.fence + 1,
                holder=None,
                ready_at=None,
                updated_at=_NOW,
                ended_at=_NOW,
            )
            .returning(*RUN, *self._notify("e", RUNS.c.id), *self._notify("c", RUNS.c.id))
        )

    def _release(self) -> sa.Executable:
        return (
            sa.update(RUNS)
            .where(*_HELD)
            .values(
                status="queued",
                fence=RUNS.c.fence + 1,
                attempts=RUNS.c.attempts - sa.bindparam("given_back", type_=sa.Integer),
                holder=None,
                ready_at=_new(RUNS.c.ready_at),
                updated_at=_NOW,
            )
            .returning(RUNS.c.id, *self._notify("q"))
        )


def _new(column: sa.Column[Any]) -> sa.BindParameter[Any]:
    return sa.bindparam(f"new_{column.name}", type_=column.type)


def _new_run() -> list[sa.ColumnElement[Any]]:
    return [_new(column) for column in RUNS.c]


def _if_held(*columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    return sa.select(*columns).where(*_HELD).with_for_update(key_share=True)


def _insert_if_held(table: sa.Table, **values: sa.ColumnElement[Any]) -> sa.Executable:
    return sa.insert(table).from_select(list(values), _if_held(*values.values())).returning(table.c.run)


def _event_rows_from_arrays() -> sa.Select[Any]:
    from sqlalchemy.dialects.postgresql import ARRAY

    columns = [RUN_EVENTS.c.run, RUNS.c.fence, *list(RUN_EVENTS.c)[1:]]
    arrays = [sa.bindparam(f"new_{column.name}s", type_=ARRAY(column.type)) for column in columns]
    batch = sa.func.unnest(*arrays).table_valued(*(sa.column(column.name, column.type) for column in columns))
    batch = batch.render_derived("batch")
    held = sa.and_(RUNS.c.id == batch.c.run, RUNS.c.fence == batch.c.fence)
    return (
        sa.select(batch.c.run, *(batch.c[column.name] for column in list(RUN_EVENTS.c)[1:]))
        .join_from(batch, RUNS, held)
        .order_by(RUNS.c.id, batch.c.first)  # one order for all who lock several, so that none waits for another
        .with_for_update(key_share=True, of=RUNS)
    )


def _interrupt_steps() -> sa.Executable:
    held = sa.select(RUNS.c.id).where(*_HELD).with_for_update(key_share=True).cte("held")
    return (
        sa.update(RUN_STEPS)
        .where(
            RUN_STEPS.c.run.in_(sa.select(held.c.id)),
            RUN_STEPS.c.status == "started",
            RUN_STEPS.c.idempotent.is_(sa.false()),
        )
        .values(status="interrupted", ended_at=_NOW)
    )


def _renew() -> sa.Executable:
    mine = (
        sa.select(RUNS.c.id)
        .where(RUNS.c.holder == sa.bindparam("of_holder"))
        .order_by(RUNS.c.id)
        .with_for_update()
        .cte("mine")
    )
    return (
        sa.update(RUNS)
        .where(RUNS.c.id.in_(sa.select(mine.c.id)))
        .values(ready_at=sa.bindparam("new_ready_at", type_=sa.Float(53)))
        .returning(RUNS.c.id, RUNS.c.fence)
    )


def _events_of() -> sa.Select[Any]:
    next_event = sa.bindparam("of_next", type_=sa.BigInteger)
    return (
        sa.select(RUN_EVENTS.c.first, RUN_EVENTS.c.body)
        .join_from(RUN_EVENTS, RUNS, RUNS.c.id == RUN_EVENTS.c.run)
        # The index knows where rows begin, and none is longer than this.
        .where(*_THIS, RUN_EVENTS.c.first > next_event - EVENTS_PER_ROW_MAX, RUN_EVENTS.c.last >= next_event)
        .order_by(RUN_EVENTS.c.first)
        .limit(sa.bindparam("rows_max", type_=sa.Integer))
    )


def _sweep() -> sa.Executable:
    old = (
        sa.select(RUNS.c.id)
        .where(RUNS.c.expires_at < _NOW)
        .order_by(RUNS.c.expires_at)
        .limit(sa.bindparam("rows_max", type_=sa.Integer))
    )
    return sa.delete(RUNS).where(RUNS.c.id.in_(old)).returning(RUNS.c.id)
