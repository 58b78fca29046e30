"""The statements of the run journal. What they mean together is `llama_stack.runs.journal`'s concern.

Whatever a worker writes is conditional on the fence that it was given: an INSERT selects from the run's row, an UPDATE
goes through it, and on PostgreSQL both hold a lock on that row until the commit, so a change of hands waits or is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from llama_stack.storage.sql.database import Database, Prepared
from llama_stack.storage.sql.parameters import is_owned, new, new_row
from llama_stack.storage.sql.tables import RUN_DOCUMENTS, RUN_EVENTS, RUN_STEPS, RUNS

CHANNEL = "ls_runs"
"""Where PostgreSQL says what happened: `q` a run was queued, `e<id>` events or an end, `c<id>` a change of hands."""
EVENTS_PER_ROW_MAX = 1024
SECRETS = "secrets"
"""The document with the sealed credentials of a run that has not ended."""
WAITING_MAX = 100_000
"""Runs that wait are counted so far."""

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
    RUNS.c.label,
    RUNS.c.events_expired,
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
_NOW = sa.bindparam("now", type_=RUNS.c.updated_at.type)


OWNED = (*is_owned(RUNS), RUNS.c.hidden_at.is_(None))
"""Part of every statement that an owner's request runs: for anyone else, the row does not exist."""
THIS = (*OWNED, _OF_RUN)


class RunStatements:
    """Prepared writes and queries, made once for a database. Their parameters are the names in `sa.bindparam`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        prepare = database.prepare
        self.create_queued = prepare(self._create_queued())
        self.create_held = prepare(self._on_conflict(sa.select(*new_row(RUNS).values())).returning(RUNS.c.id))
        self.document = prepare(
            _insert_if_held(
                RUN_DOCUMENTS, run=RUNS.c.id, name=new(RUN_DOCUMENTS.c.name), body=new(RUN_DOCUMENTS.c.body)
            )
        )
        self.given_document = prepare(self._given_document())
        self.events = prepare(self._events())
        self.events_of_many = prepare(self._events(skip_conflicts=True))
        self.begin_step = prepare(self._begin_step())
        self.end_step = prepare(self._update_step())
        self.interrupt_steps = prepare(_interrupt_steps())
        self.finish = prepare(self._finish())
        self.seize = prepare(
            sa.update(RUNS)
            .where(*THIS, RUNS.c.ready_at.is_not(None))
            .values(fence=RUNS.c.fence + 1, holder=None, ready_at=new(RUNS.c.ready_at))
            .returning(*RUN)
        )
        self.release = prepare(self._release())
        self.renew = prepare(_renew())
        self.free = prepare(
            sa.update(RUNS).where(RUNS.c.holder == sa.bindparam("of_holder")).values(ready_at=_NOW).returning(RUNS.c.id)
        )
        self.by_key = sa.select(*RUN).where(
            *OWNED, RUNS.c.kind == sa.bindparam("of_kind"), RUNS.c.idempotency_key == sa.bindparam("of_key")
        )
        self.fence_of = sa.select(RUNS.c.fence).where(_OF_RUN)
        self.payload_of = sa.select(RUN_DOCUMENTS.c.body).where(
            RUN_DOCUMENTS.c.run == sa.bindparam("of_run"), RUN_DOCUMENTS.c.name == "payload"
        )
        self.given_to = sa.select(RUN_DOCUMENTS.c.name, RUN_DOCUMENTS.c.body).where(
            RUN_DOCUMENTS.c.run == sa.bindparam("of_run"),
            RUN_DOCUMENTS.c.name.in_([sa.literal("payload"), sa.literal(SECRETS)]),
        )
        self.erase_secrets = prepare(_erase_secrets())
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
        claimable: sa.Select[Any] = (
            sa.select(sa.literal_column("1").label("one")).where(RUNS.c.ready_at <= _NOW).limit(WAITING_MAX)
        )
        self.waiting: sa.Select[Any] = sa.select(sa.func.count()).select_from(claimable.subquery())
        self.holders = sa.select(RUNS.c.holder).where(RUNS.c.holder.is_not(None)).distinct()

    def claim(self, kinds: Sequence[str]) -> Prepared:
        """The runs of one tenant that have waited longest."""
        ready = (
            sa.select(RUNS.c.id)
            .where(RUNS.c.tenant == sa.bindparam("of_tenant"), *_ready(RUNS, kinds))
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

    def _notify(self, what: str, run: sa.ColumnElement[str] | None = None) -> tuple[sa.ColumnElement[Any], ...]:
        return notification(self._database, what, run)

    def _on_conflict(self, rows: sa.Select[Any]) -> Any:
        names = [column.name for column in RUNS.c]
        return self._database.insert(RUNS).from_select(names, rows.where(_parent_is_there())).on_conflict_do_nothing()

    def _create_queued(self) -> sa.Executable:
        longest = sa.bindparam("queued_max", type_=sa.Integer)
        queued: sa.Select[Any] = sa.select(sa.literal_column("1").label("one")).where(
            RUNS.c.tenant == sa.bindparam("new_tenant"), RUNS.c.status == "queued"
        )
        count = sa.select(sa.func.count()).select_from(queued.limit(longest).subquery()).scalar_subquery()
        row = sa.select(*new_row(RUNS).values()).where(count < longest)
        statement: sa.Executable = self._on_conflict(row).returning(RUNS.c.id, *self._notify("q"))
        return statement

    def _given_document(self) -> sa.Executable:
        """Of a new run. Where its id is one that is queued already, that one keeps what it has."""
        row = _if_held(RUNS.c.id, new(RUN_DOCUMENTS.c.name), new(RUN_DOCUMENTS.c.body))
        insert = self._database.insert(RUN_DOCUMENTS).from_select(["run", "name", "body"], row)
        statement: sa.Executable = insert.on_conflict_do_nothing().returning(RUN_DOCUMENTS.c.run)
        return statement

    def _events(self, *, skip_conflicts: bool = False) -> sa.Executable:
        """One row on SQLite; on PostgreSQL any number, of any number of runs, from arrays."""
        names = [column.name for column in RUN_EVENTS.c]
        if not self._database.shared:
            rows = _if_held(RUNS.c.id, *(new(column) for column in list(RUN_EVENTS.c)[1:]))
        else:
            rows = _event_rows_from_arrays()
        insert = self._database.insert(RUN_EVENTS).from_select(names, rows)
        if skip_conflicts:
            insert = insert.on_conflict_do_nothing()
        statement: sa.Executable = insert.returning(RUN_EVENTS.c.run, *self._notify("e", RUN_EVENTS.c.run))
        return statement

    def _begin_step(self) -> sa.Executable:
        values = {
            column.name: new(column)
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
            .values({name: new(RUN_STEPS.c[name]) for name in ("status", "result", "ended_at")})
            .returning(RUN_STEPS.c.run)
        )

    def _finish(self) -> sa.Executable:
        return (
            sa.update(RUNS)
            .where(*_HELD)
            .values(
                status=new(RUNS.c.status),
                error=new(RUNS.c.error),
                expires_at=new(RUNS.c.expires_at),
                events_expire_at=new(RUNS.c.events_expire_at),
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
                ready_at=new(RUNS.c.ready_at),
                updated_at=_NOW,
            )
            .returning(RUNS.c.id, *self._notify("q"))
        )


def notification(
    database: Database, what: str, run: sa.ColumnElement[str] | None = None
) -> tuple[sa.ColumnElement[Any], ...]:
    """A column for RETURNING that tells other processes at the commit."""
    if not database.shared:
        return ()
    message = sa.literal(what, sa.Text)
    return (sa.func.pg_notify(CHANNEL, message if run is None else message + run),)


def tenants_ready(kinds: Sequence[str]) -> sa.Select[Any]:
    """Tenants from `from_tenant` on that have runs to claim, in their order, and how many, counted to `count_max`.

    Goes from tenant to tenant by the index, so the cost is that of the tenants and not of what they have queued."""
    first = _first_tenant(RUNS, RUNS.c.tenant >= sa.bindparam("from_tenant", type_=sa.Text))
    tenants = sa.select(first.scalar_subquery().label("tenant")).cte("tenants", recursive=True)
    next_ = RUNS.alias("next")
    following = _first_tenant(next_, next_.c.tenant > tenants.c.tenant).correlate(tenants).scalar_subquery()
    tenants = tenants.union_all(sa.select(following).where(tenants.c.tenant.is_not(None)))
    some = RUNS.alias("some")
    ready = sa.select(some.c.ready_at).where(some.c.tenant == tenants.c.tenant, *_ready(some, kinds))
    ready = ready.order_by(some.c.tenant, some.c.ready_at).correlate(tenants)
    most = ready.limit(sa.bindparam("count_max", type_=sa.Integer)).subquery()
    count = sa.select(sa.func.count()).select_from(most).correlate(tenants).scalar_subquery()
    any_ = ready.limit(
        1
    ).scalar_subquery()  # looked for one by one; of EXISTS, PostgreSQL makes a join with all of them
    found = sa.select(tenants.c.tenant, count.label("ready")).where(tenants.c.tenant.is_not(None), any_.is_not(None))
    return found.limit(sa.bindparam("tenants_max", type_=sa.Integer))


def _first_tenant(runs: sa.FromClause, where: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Ordered as the index of what is live, so that no other is taken: they have all that ever ran."""
    order = runs.c.tenant, runs.c.ready_at
    return sa.select(runs.c.tenant).where(runs.c.ready_at.is_not(None), where).order_by(*order).limit(1)


def _ready(runs: sa.FromClause, kinds: Sequence[str]) -> tuple[sa.ColumnElement[bool], ...]:
    return runs.c.kind.in_([sa.literal(kind) for kind in kinds]), runs.c.ready_at <= _NOW


def _parent_is_there() -> sa.ColumnElement[bool]:
    """None is asked for, or it is the owner's. It cannot be deleted until the child is there."""
    parent, wanted = RUNS.alias("parent"), new(RUNS.c.parent)
    there = sa.select(parent.c.id).where(
        parent.c.id == wanted,
        parent.c.tenant == new(RUNS.c.tenant),
        parent.c.owner == new(RUNS.c.owner),
        parent.c.hidden_at.is_(None),
    )
    return sa.or_(wanted.is_(None), sa.exists(there.with_for_update(read=True)))


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


def _erase_secrets() -> sa.Executable:
    held = sa.select(RUNS.c.id).where(*_HELD).with_for_update(key_share=True).cte("held")
    mine = RUN_DOCUMENTS.c.run.in_(sa.select(held.c.id))
    return sa.delete(RUN_DOCUMENTS).where(mine, RUN_DOCUMENTS.c.name == SECRETS).returning(RUN_DOCUMENTS.c.run)


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
