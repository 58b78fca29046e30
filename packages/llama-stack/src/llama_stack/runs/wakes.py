"""Wake-ups: within the process by events, from other processes by PostgreSQL's NOTIFY. They only save waiting: whoever
sleeps looks again after a bounded time anyway.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from llama_stack.storage.sql.database import Database
from llama_stack.storage.sql.runs import CHANNEL
from llama_stack_api.errors import LlamaStackError

RETRY_S = 1.0


class Wakes:
    """`queued` is set when there may be work; `moved` is called with a run that may have changed hands."""

    def __init__(self, database: Database) -> None:
        self.queued = asyncio.Event()
        self.moved: Callable[[str], None] = lambda run_id: None
        self._database = database
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        if self._database.shared:
            self._task = asyncio.create_task(self._listen(), name="wake-ups of runs")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    @contextmanager
    def watch(self, run_id: str) -> Iterator[asyncio.Event]:
        """An event that is set when the run may have something new. Look at the store after this, then wait."""
        event = asyncio.Event()
        watchers = self._watchers.setdefault(run_id, set())
        watchers.add(event)
        try:
            yield event
        finally:
            watchers.discard(event)
            if not watchers and self._watchers.get(run_id) is watchers:
                del self._watchers[run_id]

    def ring(self, run_id: str) -> None:
        for event in self._watchers.get(run_id, ()):
            event.set()

    def hear(self, message: str) -> None:
        """What another process, or this one, said on the channel."""
        kind, run_id = message[:1], message[1:]
        if kind == "q":
            self.queued.set()
        elif kind == "e":
            self.ring(run_id)
        elif kind == "c":
            self.moved(run_id)

    async def _listen(self) -> None:
        while True:
            try:
                await self._database.listen(CHANNEL, self.hear)
            except LlamaStackError as error:
                logging.getLogger(__name__).warning("wake-ups of runs are away, polling goes on: %s", error)
            await asyncio.sleep(RETRY_S)
