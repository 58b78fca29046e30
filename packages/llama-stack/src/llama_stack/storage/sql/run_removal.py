"""How runs go: hidden at once, removed when nothing goes on from them any more; `runs.retention` says why."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from llama_stack.storage.sql.database import Database
from llama_stack.storage.sql.runs import SECRETS, THIS, notification
from llama_stack.storage.sql.tables import RUN_DOCUMENTS, RUN_EVENTS, RUN_STEPS, RUNS

_OF_RUN = RUNS.c.id == sa.bindparam("of_run")
_NOW = sa.bindparam("now", type_=RUNS.c.updated_at.type)
_HIDDEN = sa.select(RUNS.c.id).where(_OF_RUN, RUNS.c.hidden_at.is_not(None))
_LOG_EXPIRED = sa.select(RUNS.c.id).where(_OF_RUN, RUNS.c.events_expired.is_(sa.true()))
_GOING = sa.literal(0.0, RUNS.c.expires_at.type)
"""In `expires_at`, within the transaction that removes a run."""
_SOON = sa.literal(1.0, RUNS.c.expires_at.type)
"""In `expires_at` of a hidden run: the next sweep looks whether it is needed still."""


class RemovalStatements:
    """Their parameters are `of_run`, `now`, and for `hide` those of the owner."""

    def __init__(self, database: Database) -> None:
        prepare = database.prepare
        self.hide = prepare(_hide(database, *THIS))
        self.hide_expired = prepare(_hide(database, _OF_RUN, RUNS.c.expires_at <= _NOW))
        self.remove_hidden = [prepare(statement) for statement in _remove_hidden()]
        """To be run in this order, in the transaction in which the run was hidden."""
        self.expire_log = [prepare(statement) for statement in _expire_log()]

        rows_max = sa.bindparam("rows_max", type_=sa.Integer)
        expired = RUNS.c.expires_at
        self.expired = sa.select(RUNS.c.id).where(expired <= _NOW).order_by(expired).limit(rows_max)
        expired = RUNS.c.events_expire_at
        self.logs_expired = sa.select(RUNS.c.id).where(expired <= _NOW).order_by(expired).limit(rows_max)


def _hide(database: Database, *which: sa.ColumnElement[bool]) -> sa.Executable:
    """Out of its owner's sight and its worker's hands, and no more to be looked at until a child of it goes."""
    ended = RUNS.c.ended_at.is_not(None)
    return (
        sa.update(RUNS)
        .where(*which)
        .values(
            hidden_at=sa.func.coalesce(RUNS.c.hidden_at, _NOW),
            status=sa.case((ended, RUNS.c.status), else_="cancelled"),
            ended_at=sa.func.coalesce(RUNS.c.ended_at, _NOW),
            fence=RUNS.c.fence + 1,
            holder=None,
            ready_at=None,
            idempotency_key=None,
            expires_at=None,
            events_expire_at=None,
        )
        .returning(RUNS.c.id, *notification(database, "c", RUNS.c.id), *notification(database, "e", RUNS.c.id))
    )


def _remove_hidden() -> list[sa.Executable]:
    children, going = RUNS.alias("children"), RUNS.alias("going")
    childless = ~sa.exists(sa.select(children.c.id).where(children.c.parent == RUNS.c.id))
    # Decided once, by a statement that begins after the row is locked, so that nothing which came before is overlooked.
    decide = sa.update(RUNS).where(_OF_RUN, RUNS.c.hidden_at.is_not(None), childless).values(expires_at=_GOING)
    parent = sa.select(going.c.parent).where(going.c.id == sa.bindparam("of_run"), going.c.expires_at == _GOING)
    look_at_parent = (
        sa.update(RUNS)
        .where(RUNS.c.id == parent.scalar_subquery(), RUNS.c.hidden_at.is_not(None))
        .values(expires_at=_SOON)
    )
    own_documents = RUN_DOCUMENTS.c.name.in_([sa.literal(name) for name in ("payload", "result", SECRETS)])
    return [
        decide,
        look_at_parent,
        sa.delete(RUNS).where(_OF_RUN, RUNS.c.expires_at == _GOING),
        _delete(RUN_EVENTS, _HIDDEN),
        _delete(RUN_STEPS, _HIDDEN),
        sa.delete(RUN_DOCUMENTS).where(RUN_DOCUMENTS.c.run.in_(_HIDDEN), own_documents),
    ]


def _expire_log() -> list[sa.Executable]:
    mark = (
        sa.update(RUNS)
        .where(_OF_RUN, RUNS.c.events_expire_at <= _NOW)
        .values(events_expired=True, events_expire_at=None)
        .returning(RUNS.c.id)
    )
    return [mark, _delete(RUN_EVENTS, _LOG_EXPIRED), _delete(RUN_STEPS, _LOG_EXPIRED)]


def _delete(table: sa.Table, runs: sa.Select[Any]) -> sa.Executable:
    return sa.delete(table).where(table.c.run.in_(runs))
