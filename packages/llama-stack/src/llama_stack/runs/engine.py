"""Runs as the services see them: start, follow, wait, cancel. One code path, whether a run is stored or not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from llama_stack.runs.errors import EventsExpired
from llama_stack.runs.execution import Stop, closing_of
from llama_stack.runs.handle import Ending, Kind
from llama_stack.runs.journal import Journal
from llama_stack.runs.limits import Endurance, RunLimits, RunTimings
from llama_stack.runs.live import LiveLog
from llama_stack.runs.model import Claim, Closing, Created, Event, NewRun, Outcome, Replay, Run, RunStatus
from llama_stack.runs.observer import RunObserver
from llama_stack.runs.reader import missing
from llama_stack.runs.wakes import Wakes
from llama_stack.runs.worker import Worker, wait_for
from llama_stack.storage.sql.database import Database
from llama_stack.storage.sweeper import Sweeper
from llama_stack_api.principal import Principal


class RunEngine:
    """The runs of one process over one database.

    `claims`: take queued runs and those of dead workers too. Without, only what is started here is executed here.
    `places`: how many runs of a kind are executed at a time; such kinds take no places of the others.
    `endurance`: kinds whose runs may take longer, and more attempts, than the limits say.
    `holder`: the name under which leases are taken, unique; by default one that tells whether this process lives.
    """

    def __init__(
        self,
        database: Database,
        kinds: Iterable[Kind],
        *,
        limits: RunLimits | None = None,
        timings: RunTimings | None = None,
        claims: bool = True,
        places: Mapping[str, int] = MappingProxyType({}),
        endurance: Mapping[str, Endurance] = MappingProxyType({}),
        holder: str | None = None,
        clock: Callable[[], float] = time.time,
        observer: RunObserver | None = None,
    ) -> None:
        self.journal = Journal(database, limits, clock, observer)
        self._timings = timings or RunTimings()
        self._kinds = {kind.name: kind for kind in kinds}
        self._wakes = Wakes(database)
        self._worker = Worker(
            self.journal,
            self._wakes,
            self._kinds,
            self._timings,
            claims=claims,
            alone=not database.shared,
            holder=holder,
            places=places,
            endurance=endurance,
        )
        self._starting: set[asyncio.Task[Created]] = set()
        retention = self.journal.retention
        self._sweepers = (Sweeper("runs", retention.sweep), Sweeper("events of runs", retention.sweep_logs))

    async def open(self) -> None:
        self._wakes.open()
        await self._worker.open()
        for sweeper in self._sweepers:
            sweeper.start()

    async def close(self) -> None:
        """Lets runs go on for `drain_s`, or until this is cancelled, then gives them back to the queue."""
        for sweeper in self._sweepers:
            await sweeper.stop()
        await asyncio.gather(*self._starting, return_exceptions=True)
        try:
            await self._worker.close()
        finally:
            await self._wakes.close()

    async def start(self, principal: Principal, new: NewRun) -> Created:
        """A stored run: queued if it is to run in the background, else executed here at once.

        Raises `Overloaded` where a queue is full, `RunLimitExceeded` where the payload is too large."""
        if new.background or new.not_before is not None:
            created = await self.journal.create(principal, new)
            self._wakes.queued.set()
            return created
        self._worker.check_room()
        creating = asyncio.create_task(
            self.journal.create(principal, new, holder=self._worker.holder, lease_s=self._timings.lease_s),
            name="start of a run",
        )
        self._starting.add(creating)
        creating.add_done_callback(self._starting.discard)
        try:
            created = await asyncio.shield(creating)
        except asyncio.CancelledError:
            # The caller hung up. The run is stored all the same, and would lie about until a heartbeat misses it.
            creating.add_done_callback(lambda done: self._execute(done.result(), new) if _succeeded(done) else None)
            raise
        self._execute(created, new)
        return created

    def _execute(self, created: Created, new: NewRun) -> None:
        if created.new:
            self._worker.start(Claim(created.run, new.payload, new.secrets))

    def start_ephemeral(self, principal: Principal, new: NewRun, *, streamed: bool) -> Run:
        """A run that is kept nowhere: it is gone once it ends, or with this process. `streamed`: `tail` will be read,
        once and from the start; the run waits for its reader. Follow it before anything else is awaited."""
        self._worker.check_room()
        run = self.journal.new_run(principal, new, held=True)
        self._worker.start_ephemeral(Claim(run, new.payload, new.secrets), streamed=streamed)
        return run

    def tail(
        self, principal: Principal, run_id: str, *, starting_after: int = -1, idle_s: float | None = None
    ) -> AsyncGenerator[Sequence[Event], None]:
        """The events after number `starting_after`, as they are committed, until the run has ended; several at a time.

        None at all, each time that nothing has come for `idle_s` seconds: a sign of life.

        Works in any process, for runs that execute anywhere. `NotFound`, at the first step, if it is not the
        principal's, `EventsExpired` if they are not kept any longer. A run that was started here is followed from
        memory if this is called at once.
        """
        return self._tail(self._live(principal, run_id), principal, run_id, starting_after + 1, idle_s)

    async def wait(self, principal: Principal, run_id: str) -> Outcome:
        """How the run ended, once it has."""
        live = self._live(principal, run_id)
        while live is not None and live.outcome is None and not live.gone:
            await live.change.wait()
        if live is not None and live.outcome is not None:
            return live.outcome
        with self._wakes.watch(run_id) as event:
            while True:
                event.clear()
                run = await self.journal.get(principal, run_id)
                if run.status.ended:
                    result = await self.journal.document(principal, run_id, "result")
                    return Outcome(run.status, result, run.error)
                await wait_for(event, self._timings.poll_s)

    async def cancel(self, principal: Principal, run_id: str) -> None:
        """End it as cancelled, with the last words of its kind, wherever it executes. One that has ended stays so."""
        live = self._live(principal, run_id)
        execution = self._worker.execution(run_id)
        if live is not None and not live.stored:
            if execution is not None:
                execution.stop(Stop.CANCEL)
            return
        await self.journal.cancel(principal, run_id, self._last_words)
        self._moved(run_id)

    async def delete(self, principal: Principal, run_id: str) -> None:
        """Remove it; if it still executes, that ends. Others that go on from it still can."""
        await self.journal.retention.delete(principal, run_id)
        self._moved(run_id)

    def _moved(self, run_id: str) -> None:
        self._worker.drop(run_id)
        self._wakes.ring(run_id)

    def _live(self, principal: Principal, run_id: str) -> LiveLog | None:
        live = self._worker.live(run_id)
        if live is not None and (live.run.tenant, live.run.owner) != (principal.tenant, principal.id):
            raise missing(run_id)
        return live

    async def _last_words(self, run: Run, next_event: int) -> Closing:
        kind = self._kinds.get(run.kind)
        if kind is None:
            return Closing()
        replay = Replay((await self.journal.replay(run)).steps, next_event)
        payload = (await self.journal.claim_of(run)).payload
        outcome = Outcome(RunStatus.CANCELLED)
        ending = Ending(run, payload, outcome, replay, lambda: self.journal.log(run))
        return await closing_of(kind, ending, self.journal.limits)

    async def _tail(
        self, live: LiveLog | None, principal: Principal, run_id: str, next_event: int, idle_s: float | None
    ) -> AsyncGenerator[Sequence[Event], None]:
        ephemeral = live is not None and not live.stored
        now = asyncio.get_running_loop().time
        silent_since = now()
        while True:
            if idle_s is not None and now() - silent_since >= idle_s:
                silent_since = now()
                yield ()
            change = live.change if live is not None else None
            events = live.read(next_event) if live is not None else None
            if events is None:
                events = await self.journal.events(principal, run_id, next_event)
            if events:
                yield events
                next_event = events[-1].number + 1
                silent_since = now()
            elif live is not None and change is not None and not live.gone:
                if live.outcome is None:
                    await wait_for(change, idle_s)
                elif live.read(next_event) == []:
                    return
                else:
                    live = None  # all of it is in the store now
            elif ephemeral or await self._stored_end(principal, run_id, next_event):
                return
            else:
                live = self._live(principal, run_id)

    async def _stored_end(self, principal: Principal, run_id: str, next_event: int) -> bool:
        """Wait for something new in the store; True if the log is over instead."""
        with self._wakes.watch(run_id) as event:
            run = await self.journal.get(principal, run_id)
            if await self.journal.events(principal, run_id, next_event):
                return False
            if run.events_expired:
                raise EventsExpired(run_id)
            if run.status.ended:
                return True
            if self._worker.live(run_id) is None:
                await wait_for(event, self._timings.poll_s)
            return False


def _succeeded(task: asyncio.Task[Created]) -> bool:
    return not task.cancelled() and task.exception() is None
