"""Who gets a worker's free places: tenants in turn, whatever each of them has queued."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from llama_stack.runs.model import Run
from llama_stack.storage.sql.database import Database, Prepared, Query
from llama_stack.storage.sql.runs import RunStatements, tenants_ready

TENANTS_MAX = 16
"""Tenants that one claim looks at; the next one goes on with those that come after them."""


class Claims:
    """Goes round the tenants that have something ready; of each, takes what has waited longest.

    Places go to the tenants of whom this worker executes least. So one who has queued thousands of runs holds up nobody
    who queues a few: they wait for the next place, not for his last run.
    """

    def __init__(self, database: Database, statements: RunStatements, clock: Callable[[], float]) -> None:
        self._database = database
        self._statements = statements
        self._clock = clock
        self._of_kinds: dict[tuple[str, ...], tuple[Query, Prepared]] = {}
        self._turns: dict[tuple[str, ...], str] = {}
        """Where the next round begins, for each choice of kinds: the tenant served last, who is now the last."""

    async def take(
        self,
        kinds: Sequence[str],
        holder: str,
        *,
        lease_s: float,
        count_max: int,
        busy: Mapping[str, int],
        tenant_max: int | None,
    ) -> list[Run]:
        """Claim up to `count_max` runs. `busy` says how many of a tenant the worker has already; with `tenant_max`, no
        tenant gets more than that."""
        key = tuple(sorted(kinds))
        if key not in self._of_kinds:
            self._of_kinds[key] = tenants_ready(key), self._statements.claim(key)
        query, claim = self._of_kinds[key]
        ready = await self._ready(query, count_max, self._turns.get(key, ""))
        if tenant_max is not None:
            ready = {tenant: min(count, tenant_max - busy.get(tenant, 0)) for tenant, count in ready.items()}
        shares = shared_out(count_max, ready, busy)
        # If all that were looked at have as many as they may, the next look goes on after them.
        self._turns[key] = next(reversed(shares or ready), "")
        if not shares:
            return []
        now = self._clock()
        params = {"now": now, "new_holder": holder, "new_ready_at": now + lease_s}
        written = await self._database.write(
            *((claim, {**params, "of_tenant": tenant, "count_max": share}) for tenant, share in shares.items())
        )
        return [Run.of(row) for each in written for row in each.rows]

    async def _ready(self, query: Query, count_max: int, turn: str) -> dict[str, int]:
        """Tenants in turn, from behind `turn`, with what they have ready."""
        params = {"now": self._clock(), "count_max": count_max, "tenants_max": TENANTS_MAX}
        later: dict[str, int] = dict(await self._database.read(query, {**params, "from_tenant": turn}))
        last = later.pop(turn, 0)
        if len(later) < TENANTS_MAX and turn:
            again: dict[str, int] = dict(await self._database.read(query, {**params, "from_tenant": ""}))
            later |= {tenant: count for tenant, count in again.items() if tenant < turn}
        return later | ({turn: last} if last else {})


def shared_out(places: int, ready: Mapping[str, int], busy: Mapping[str, int]) -> dict[str, int]:
    """How many places each tenant gets: one after the other, to whoever then has least, in the order of `ready`."""
    shares = dict.fromkeys(ready, 0)
    wanting = {tenant: count for tenant, count in ready.items() if count > 0}
    while places > 0 and wanting:
        tenant = min(wanting, key=lambda each: busy.get(each, 0) + shares[each])
        shares[tenant] += 1
        wanting[tenant] -= 1
        places -= 1
        if not wanting[tenant]:
            del wanting[tenant]
    return {tenant: share for tenant, share in shares.items() if share}
