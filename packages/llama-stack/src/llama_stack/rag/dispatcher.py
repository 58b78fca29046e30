"""Attached files get their runs: a request writes rows and is answered, and the runs are started behind it.

Nothing is lost in between: a row in progress that has no run is found by whoever looks next, at the start or later, in
any process. Only what its request carried for providers is gone then, and the run knows it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from llama_stack.rag.job import KIND, Job
from llama_stack.rag.retry import is_outage
from llama_stack.runs.engine import RunEngine
from llama_stack.runs.model import NewRun
from llama_stack.runs.secrets import Sealer, Secrets, attributes_of, carried, seal_secrets
from llama_stack.storage.sql.knowledge.files import AttachedFileTable
from llama_stack.storage.sql.knowledge.records import AttachedFile, Attachment, StoreRecord
from llama_stack_api.errors import LlamaStackError, NotFound, Overloaded
from llama_stack_api.principal import Call, Principal

log: Final = logging.getLogger(__name__)

WAITING_MAX: Final = 20_000
"""Files that wait for their runs in this process; of more, `check_room` says no."""
STARTED_MAX: Final = 1000
"""Runs that this process has started and that have not ended: a long queue of files holds up no claim of other runs."""
LEFT_OVER_S: Final = 60.0
"""Rows older than this have been left by the process that wrote them."""
LOOK_S: Final = 15.0
FULL_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class _Waiting:
    principal: Principal
    job: Job
    secrets: Secrets

    @property
    def attachment(self) -> Attachment:
        return Attachment(self.job.file, self.job.attachment)


class Dispatcher:
    """`alone`: no other process serves this database, so what waits there when this one comes is left over.

    `forwarded` are the names (lower case) of the request headers that some provider passes on.
    """

    def __init__(
        self,
        engine: RunEngine,
        files: AttachedFileTable,
        *,
        sealer: Sealer | None,
        alone: bool,
        forwarded: Collection[str] = (),
        started_max: int = STARTED_MAX,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._files = files
        self._sealer = sealer
        self._alone = alone
        self._forwarded = frozenset(forwarded)
        self._started_max = started_max
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()
        self._known: set[str] = set()
        """Attachments that wait here."""
        self._arrived = asyncio.Event()
        self._opened_at = clock()
        self._started: deque[tuple[Principal, str]] = deque()
        self._tasks: list[asyncio.Task[None]] = []

    def open(self) -> None:
        self._opened_at = self._clock()
        self._tasks = [
            asyncio.create_task(self._forever(self._start_next), name="start of ingestions"),
            asyncio.create_task(self._forever(self._look), name="the look for files without a run"),
        ]

    async def close(self) -> None:
        """What waits is found by the next one."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def check_room(self) -> None:
        """`Overloaded` if no more files can be taken for now."""
        if len(self._waiting) >= WAITING_MAX:
            raise Overloaded(
                f"{len(self._waiting)} attached files wait for their ingestion here; attach more once some are done",
                retry_after_s=5.0,
            )

    async def begin(self, call: Call, store: StoreRecord, files: Sequence[AttachedFile]) -> None:
        """Each of them has a run soon, with what the request carries for providers."""
        secrets, attributes = Secrets(**carried(call, self._forwarded)), attributes_of(call.principal)
        owner = Principal(id=store.owner, tenant=store.tenant)
        for file in files:
            job = Job(store.id, file.file, file.attachment, attributes, call.request_id)
            self._await_run(file, _Waiting(owner, job, secrets))

    def _await_run(self, file: AttachedFile, waiting: _Waiting) -> None:
        if file.run is None and file.attachment not in self._known:
            self._known.add(file.attachment)
            self._waiting.append(waiting)
            self._arrived.set()

    async def _look(self) -> None:
        """Rows that were left without a run, by a process that is gone or had no room."""
        if len(self._waiting) < self._started_max:
            silent_since = self._clock() - LEFT_OVER_S
            left_before = max(silent_since, self._opened_at) if self._alone else silent_since
            for file, store in await self._files.unstarted(self._started_max):
                if file.attached_at < left_before:
                    job = Job(store.id, file.file, file.attachment, left_over=True)
                    self._await_run(file, _Waiting(Principal(id=store.owner, tenant=store.tenant), job, Secrets()))
        await asyncio.sleep(LOOK_S)

    async def _start_next(self) -> None:
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        await self._room()
        waiting = self._waiting[0]
        try:
            await self._start(waiting)
        except LlamaStackError as error:
            if is_outage(error):
                self._waiting.remove(waiting)  # others may be of a tenant whose queue is not full
                self._waiting.append(waiting)
                raise
            await self._files.fail(waiting.job.store, waiting.attachment, "server_error", error.message)
        self._waiting.remove(waiting)
        self._known.discard(waiting.job.attachment)

    async def _room(self) -> None:
        """Until fewer than `started_max` of the runs that were started here go on. They end about as they began.

        Files with credentials do not wait: these are safe only in the run, and elsewhere the file would be taken for
        one that was left without."""
        while len(self._started) >= self._started_max and self._waiting[0].secrets == Secrets():
            principal, run_id = self._started[0]
            try:
                ended = (await self._engine.journal.get(principal, run_id)).status.ended
            except NotFound:
                ended = True
            if ended:
                self._started.popleft()
            else:
                await asyncio.sleep(FULL_S)

    async def _start(self, waiting: _Waiting) -> None:
        run_id = f"run_{secrets.token_hex(24)}"
        new = NewRun(
            KIND,
            msgspec.json.encode(waiting.job),
            background=True,
            idempotency_key=waiting.job.attachment,
            id=run_id,
            secrets=seal_secrets(self._sealer, waiting.secrets, run_id),
        )
        created = await self._engine.start(waiting.principal, new)
        self._started.append((waiting.principal, created.run.id))
        if not await self._files.set_run(waiting.job.store, waiting.attachment, created.run.id):
            await self._engine.cancel(waiting.principal, created.run.id)

    async def _forever(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 — the task's boundary; what waits goes on waiting
                log.warning("attached files wait for their ingestion: %s", error)
                await asyncio.sleep(FULL_S)
