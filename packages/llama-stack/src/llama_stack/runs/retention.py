"""How runs go. One that others go on from is only hidden at first, by its owner or when its time is over: nobody sees
it any more and its events, steps and result are gone, but the documents that a chain needs stay until no descendant is
left.

So each run is looked at when it is deleted or expires, and again whenever a run that went on from it goes; nothing else
ever searches for what can be removed.
"""

from __future__ import annotations

from collections.abc import Callable

from llama_stack.runs.reader import missing, this
from llama_stack.storage.sql.database import Database, Params, Prepared
from llama_stack.storage.sql.run_removal import RemovalStatements
from llama_stack_api.principal import Principal

BATCH_MAX = 50
"""Runs that are looked up at once; each goes in a transaction of its own, as it may have a long log."""


class Retention:
    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._statements = RemovalStatements(database)

    async def delete(self, principal: Principal, run_id: str) -> None:
        """For its owner it is gone. A worker that still has it finds itself fenced."""
        params = {**this(principal, run_id), "now": self._clock()}
        hidden, *_ = await self._database.write((self._statements.hide, params), *self._removal(run_id))
        if not hidden.rows:
            raise missing(run_id)

    async def sweep(self, rows_max: int) -> int:
        """Let at most `rows_max` runs go whose time is over, or that nobody goes on from any more; how many went."""
        seen = 0
        while seen < rows_max:
            params = {"now": self._clock(), "rows_max": min(BATCH_MAX, rows_max - seen)}
            expired = await self._database.read(self._statements.expired, params)
            for (run_id,) in expired:
                now = {"of_run": run_id, "now": self._clock()}
                await self._database.write((self._statements.hide_expired, now), *self._removal(run_id))
            seen += len(expired)
            if not expired:
                break
        return seen

    async def sweep_logs(self, rows_max: int) -> int:
        """Remove the events of at most `rows_max` runs that ended so long ago; how many they were."""
        params = {"now": self._clock(), "rows_max": rows_max}
        expired = await self._database.read(self._statements.logs_expired, params)
        for (run_id,) in expired:
            of_run = {"of_run": run_id, "now": self._clock()}
            mark, *rest = self._statements.expire_log
            await self._database.write((mark, of_run), *((each, {"of_run": run_id}) for each in rest))
        return len(expired)

    def _removal(self, run_id: str) -> list[tuple[Prepared, Params]]:
        return [(statement, {"of_run": run_id}) for statement in self._statements.remove_hidden]
