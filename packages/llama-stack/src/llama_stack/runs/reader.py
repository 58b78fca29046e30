"""What an owner reads: runs, lists of them, documents, chains, events. What is not the principal's is `NotFound`."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from llama_stack.runs.limits import RunLimits, check_limit
from llama_stack.runs.model import Event, Run
from llama_stack.storage.sql.database import Database, Row
from llama_stack.storage.sql.parameters import owned
from llama_stack.storage.sql.run_reading import RunQueries, page_of, with_documents
from llama_stack.storage.sql.runs import RUN
from llama_stack_api.errors import InvalidRequest, NotFound
from llama_stack_api.principal import Principal

PAGE_ROWS = 8
LIST_MAX = 100
LIST_BYTES_MAX = 32 * 1024 * 1024
"""Of the documents of one page."""
ID_CHARS_MAX = 256

Order: TypeAlias = Literal["asc", "desc"]


class RunReader:
    def __init__(self, database: Database, limits: RunLimits) -> None:
        self.limits = limits
        self._database = database
        self._queries = RunQueries()

    async def get(self, principal: Principal, run_id: str) -> Run:
        rows = await self._database.read(self._queries.get, this(principal, run_id))
        if not rows:
            raise missing(run_id)
        return Run.of(rows[0])

    async def document(self, principal: Principal, run_id: str, name: str) -> bytes | None:
        """`payload`, `result`, or what the run's outcome named; None if it has not (yet)."""
        rows = await self._database.read(self._queries.document_of, {**this(principal, run_id), "of_name": name})
        return bytes(rows[0][0]) if rows else None

    async def documents(self, principal: Principal, prefix: str, name: str) -> list[bytes]:
        """The documents of the runs whose ids begin so: lower-case hex digits are what follows in them."""
        params = {**owned(principal), "of_first": prefix, "of_end": f"{prefix}g", "of_name": name}
        return [bytes(body) for (body,) in await self._database.read(self._queries.documents_between, params)]

    async def chain(self, principal: Principal, run_id: str, name: str) -> list[tuple[str, bytes]]:
        """The documents `name` of the runs that this one goes on from, by `parent`, the first one first, then its own;
        with the runs' ids. Runs without that document are left out; deleted and expired ones are not.

        `NotFound` if the run, or one before it, is not the principal's; `RunLimitExceeded` if it is too long.
        """
        params = {
            **this(principal, run_id),
            "of_name": name,
            "runs_max": self.limits.chain_runs_max,
            "bytes_max": self.limits.chain_bytes_max,
        }
        rows = await self._database.read(self._queries.chain, params)
        if not rows:
            raise missing(run_id)
        check_limit(
            self.limits, "chain_runs_max", len(rows), f"more than {self.limits.chain_runs_max} runs are in a row"
        )
        _, parent, _, total = rows[0]
        if parent is not None:
            raise missing(parent)
        check_limit(self.limits, "chain_bytes_max", int(total), f"the runs in a row have {total} bytes")
        return [(id_, bytes(body)) for id_, _, body, _ in rows if body is not None]

    async def list_runs(
        self,
        principal: Principal,
        kind: str,
        *,
        parent: str | None = None,
        label: str | None = None,
        after: str | None = None,
        limit: int = 20,
        order: Order = "desc",
    ) -> tuple[list[Run], bool]:
        """A page by time of creation, and whether there is more. `after` is the id of the last one seen."""
        place = await self._place(principal, after, limit)
        query = page_of(
            place, ascending=order == "asc", limit=limit + 1, parent=parent is not None, label=label is not None
        )
        rows = await self._database.read(query, _of_list(principal, kind, parent, label))
        return [Run.of(row) for row in rows[:limit]], len(rows) > limit

    async def list_documents(
        self,
        principal: Principal,
        kind: str,
        name: str,
        *,
        label: str | None = None,
        after: str | None = None,
        limit: int = 20,
        order: Order = "desc",
    ) -> tuple[list[tuple[Run, bytes | None]], bool]:
        """A page as `list_runs` gives it, with the document `name` of each. It is shorter than `limit` where the
        documents are so large that they would be too much together."""
        place = await self._place(principal, after, limit)
        ascending = order == "asc"
        page = page_of(place, ascending=ascending, limit=limit + 1, label=label is not None)
        params = {**_of_list(principal, kind, None, label), "of_name": name}
        rows = await self._database.read(with_documents(page, ascending=ascending), params)
        fitting = [row for index, row in enumerate(rows[:limit]) if index == 0 or row[-1] <= LIST_BYTES_MAX]
        return [_with_document(row) for row in fitting], len(rows) > len(fitting)

    async def events(self, principal: Principal, run_id: str, next_event: int) -> list[Event]:
        """A page of the log from `next_event` on; empty if there is nothing (yet), or for anyone but the owner."""
        params = {**this(principal, run_id), "of_next": next_event, "rows_max": PAGE_ROWS}
        return [
            Event(number, data)
            for first, body in await self._database.read(self._queries.events_of, params)
            for number, data in enumerate(msgspec.msgpack.decode(body, type=list[bytes]), first)
            if number >= next_event
        ]

    async def _place(self, principal: Principal, after: str | None, limit: int) -> tuple[float, str] | None:
        if not 1 <= limit <= LIST_MAX:
            raise InvalidRequest(f"limit is 1 to {LIST_MAX}, not {limit}", param="limit")
        return None if after is None else ((await self.get(principal, after)).created_at, after)


def missing(run_id: str) -> NotFound:
    return NotFound(f"there is no run with the id {run_id[:ID_CHARS_MAX]!r}")


def this(principal: Principal, run_id: str) -> dict[str, Any]:
    if not run_id.isascii() or "\0" in run_id:  # ours are, and PostgreSQL has no NUL
        raise missing(run_id)
    return {**owned(principal), "of_run": run_id}


def _of_list(principal: Principal, kind: str, parent: str | None, label: str | None) -> dict[str, Any]:
    params = {**owned(principal), "of_kind": kind}
    return params | {name: value for name, value in (("of_parent", parent), ("of_label", label)) if value is not None}


def _with_document(row: Row) -> tuple[Run, bytes | None]:
    body: Any = row[len(RUN)]
    return Run.of(row[: len(RUN)]), None if body is None else bytes(body)
