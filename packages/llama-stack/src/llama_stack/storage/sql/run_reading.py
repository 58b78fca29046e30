"""What owners read of their runs: single ones, lists, documents, chains, pages of events."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from llama_stack.storage.sql.parameters import is_owned
from llama_stack.storage.sql.runs import EVENTS_PER_ROW_MAX, OWNED, RUN, THIS
from llama_stack.storage.sql.tables import RUN_DOCUMENTS, RUN_EVENTS, RUNS

_NAMED = RUN_DOCUMENTS.c.name == sa.bindparam("of_name")


class RunQueries:
    """Made once. Their parameters are the names in `sa.bindparam`."""

    def __init__(self) -> None:
        self.get = sa.select(*RUN).where(*THIS)
        self.document_of = (
            sa.select(RUN_DOCUMENTS.c.body)
            .join_from(RUN_DOCUMENTS, RUNS, RUNS.c.id == RUN_DOCUMENTS.c.run)
            .where(*THIS, _NAMED)
        )
        self.documents_between = (
            sa.select(RUN_DOCUMENTS.c.body)
            .join_from(RUN_DOCUMENTS, RUNS, RUNS.c.id == RUN_DOCUMENTS.c.run)
            .where(*OWNED, RUNS.c.id >= sa.bindparam("of_first"), RUNS.c.id < sa.bindparam("of_end"), _NAMED)
        )
        self.events_of = _events_of()
        self.chain = _chain()


def page_of(
    after: tuple[float, str] | None, *, ascending: bool, limit: int, parent: bool = False, label: bool = False
) -> sa.Select[Any]:
    """Runs of a kind by creation; `after` is the time and id of the last one seen."""
    query = sa.select(*RUN).where(*OWNED, RUNS.c.kind == sa.bindparam("of_kind"))
    if parent:
        query = query.where(RUNS.c.parent == sa.bindparam("of_parent"))
    if label:
        query = query.where(RUNS.c.label == sa.bindparam("of_label"))
    place = (RUNS.c.created_at, RUNS.c.id)
    if after is not None:
        cursor = sa.tuple_(*(sa.literal(value) for value in after))
        query = query.where(sa.tuple_(*place) > cursor if ascending else sa.tuple_(*place) < cursor)
    return query.order_by(*_in_order(place, ascending)).limit(limit)


def with_documents(page: sa.Select[Any], *, ascending: bool) -> sa.Select[Any]:
    """A page, and with each run a document, as far as they have no more than `bytes_max` together; and their sum."""
    runs = page.subquery("page")
    order = _in_order((runs.c.created_at, runs.c.id), ascending)
    size = sa.func.coalesce(sa.func.length(RUN_DOCUMENTS.c.body), 0)
    total = sa.func.sum(size).over(order_by=order, rows=(None, 0)).label("total")
    return (
        sa.select(*runs.c, RUN_DOCUMENTS.c.body, total)
        .join_from(runs, RUN_DOCUMENTS, sa.and_(RUN_DOCUMENTS.c.run == runs.c.id, _NAMED), isouter=True)
        .order_by(*order)
    )


def _in_order(place: tuple[sa.ColumnElement[Any], ...], ascending: bool) -> list[sa.ColumnElement[Any]]:
    return [column if ascending else column.desc() for column in place]


def _chain() -> sa.Select[Any]:
    """Ancestors first: id, parent, the document, and the bytes of all documents together. Without bodies if those are
    more than `bytes_max`. Hidden runs are among them; `runs_max` + 1 are looked at."""
    start = sa.select(RUNS.c.id, RUNS.c.parent, sa.literal(1).label("place")).where(
        *is_owned(RUNS), RUNS.c.id == sa.bindparam("of_run")
    )
    chain = start.cte("chain", recursive=True)
    parent = RUNS.alias("ancestor")
    chain = chain.union_all(
        sa.select(parent.c.id, parent.c.parent, chain.c.place + 1)
        .join_from(chain, parent, parent.c.id == chain.c.parent)
        .where(*is_owned(parent), chain.c.place <= sa.bindparam("runs_max", type_=sa.Integer))
    )
    total = sa.func.coalesce(sa.func.sum(sa.func.length(RUN_DOCUMENTS.c.body)).over(), 0)
    body = sa.case((total <= sa.bindparam("bytes_max", type_=sa.BigInteger), RUN_DOCUMENTS.c.body))
    return (
        sa.select(chain.c.id, chain.c.parent, body.label("body"), total.label("total"))
        .join_from(chain, RUN_DOCUMENTS, sa.and_(RUN_DOCUMENTS.c.run == chain.c.id, _NAMED), isouter=True)
        .order_by(chain.c.place.desc())
    )


def _events_of() -> sa.Select[Any]:
    next_event = sa.bindparam("of_next", type_=sa.BigInteger)
    return (
        sa.select(RUN_EVENTS.c.first, RUN_EVENTS.c.body)
        .join_from(RUN_EVENTS, RUNS, RUNS.c.id == RUN_EVENTS.c.run)
        # The index knows where rows begin, and none is longer than this.
        .where(*THIS, RUN_EVENTS.c.first > next_event - EVENTS_PER_ROW_MAX, RUN_EVENTS.c.last >= next_event)
        .order_by(RUN_EVENTS.c.first)
        .limit(sa.bindparam("rows_max", type_=sa.Integer))
    )
