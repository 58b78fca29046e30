"""How an executing run writes: its events, the intents and results of its steps, its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from llama_stack.runs.errors import Fenced
from llama_stack.runs.journal import Commit, Journal
from llama_stack.runs.limits import RunLimits, check_limit
from llama_stack.runs.live import LiveLog
from llama_stack.runs.model import Event, Outcome, Replay, Run, Step
from llama_stack_api.errors import LlamaStackError

RETRY_S = 0.05
RETRY_MAX_S = 10.0


class Recorder(Protocol):
    """One claimed run's side of the journal. Every method raises `lost` once the run is not this worker's any more."""

    next_event: int
    """The number that the next event gets."""
    lost: LlamaStackError | None
    """Why nothing more can be written here: `Fenced`, or the store's failure."""

    def emit(self, event: bytes) -> int: ...

    async def room(self) -> None:
        """Until so few events wait that another may come."""
        ...

    async def begin(self, step: Step) -> None: ...

    async def end(self, step: Step) -> None: ...

    async def flush(self) -> None: ...

    async def finish(self, outcome: Outcome) -> None: ...

    async def release(self, *, failed: bool) -> None:
        """Give the run back, for any worker to go on with; `failed`: not at once, and the attempt counts."""
        ...

    def log(self) -> AsyncIterator[Event]:
        """What is committed, of earlier attempts too."""
        ...


class Committer:
    """Commits the events of all runs of a process: at once when it is idle, together what comes within `batch_s`."""

    def __init__(self, journal: Journal, batch_s: float) -> None:
        self._journal = journal
        self._batch_s = batch_s
        self._waiting: dict[SqlRecorder, None] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._task = asyncio.create_task(self._run(), name="committer of runs")

    async def close(self) -> None:
        """Once no run executes any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def add(self, recorder: SqlRecorder) -> None:
        self._waiting[recorder] = None
        self._wake.set()

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        next_at = clock()
        while True:
            await self._wake.wait()
            if (left_s := next_at - clock()) > 0:
                await asyncio.sleep(left_s)
            self._wake.clear()
            next_at = clock() + self._batch_s
            # Who is writing by itself takes its events along, and comes back with what is left.
            ready = [recorder for recorder in self._waiting if recorder.waiting]
            self._waiting.clear()
            if ready:
                await self._commit(ready)

    async def _commit(self, recorders: Sequence[SqlRecorder]) -> None:
        for recorder in recorders:
            await recorder.lock.acquire()
        commits = [recorder.take() for recorder in recorders]
        try:
            fenced = await self._journal.commit_many(commits)
        except Exception as error:  # noqa: BLE001 — the task's boundary: these runs go on elsewhere, the rest here
            for recorder in recorders:
                recorder.lose(_as_ours(error))
        else:
            for recorder, commit in zip(recorders, commits, strict=True):
                if commit.run_id in fenced:
                    recorder.lose(Fenced(commit.run_id))
                else:
                    recorder.committed(commit)
        finally:
            for recorder in recorders:
                recorder.lock.release()


class SqlRecorder:
    """`on_lost` is called once, when nothing more can be written."""

    def __init__(
        self,
        run: Run,
        journal: Journal,
        committer: Committer,
        live: LiveLog,
        on_lost: Callable[[], None],
        *,
        has_secrets: bool = False,
    ) -> None:
        self.lost: LlamaStackError | None = None
        self.ending = False
        """The end of the run is being written. That takes a new fence, so one that is seen meanwhile may be our own; if
        it is not, the writing fails by it."""
        self.next_event = 0
        self.lock = asyncio.Lock()
        """Held while something of this run is written, so that its events are committed in order."""
        self._run = run
        self._journal = journal
        self._committer = committer
        self._live = live
        self._on_lost = on_lost
        self._has_secrets = has_secrets
        self._first = 0
        self._events: list[bytes] = []
        self._begun: list[Step] = []
        self._ended: list[Step] = []
        self._bytes = self._log_bytes = 0
        self._room = asyncio.Event()
        self._writers = 0

    def resume(self, replay: Replay) -> None:
        self.next_event = self._first = replay.next_event
        self._log_bytes = replay.log_bytes
        self._live.resume(replay.next_event)

    @property
    def waiting(self) -> bool:
        """Whether something waits for the committer, and the run is not about to write by itself."""
        return bool(self._events or self._begun or self._ended) and not self._writers and not self.lost

    def emit(self, event: bytes) -> int:
        if self.lost:
            raise self.lost
        self._log_bytes = check_event(self._journal.limits, event, self._log_bytes)
        number = self.next_event
        self.next_event += 1
        self._events.append(event)
        self._bytes += len(event)
        self._committer.add(self)
        return number

    async def room(self) -> None:
        while self._bytes > self._journal.limits.uncommitted_bytes_max and not self.lost:
            self._room.clear()
            await self._room.wait()

    async def begin(self, step: Step) -> None:
        if step.idempotent:  # It may run twice, so nobody waits for its intent: that goes with what comes next.
            self._add(self._begun, step)
        else:
            await self._commit(begun=[step])

    async def end(self, step: Step) -> None:
        if step.idempotent:  # Whatever is seen or done because of its result is committed with it, or after it.
            self._add(self._ended, step)
        else:
            await self._commit(ended=[step])

    async def flush(self) -> None:
        await self._commit()

    async def finish(self, outcome: Outcome) -> None:
        self.ending = True
        try:
            await self._commit(outcome=outcome)
        finally:
            self.ending = False
        self._live.end(replace(outcome, events=(), documents={}))

    async def release(self, *, failed: bool) -> None:
        self._writers += 1
        async with self.lock:
            if not isinstance(self.lost, Fenced):
                wait_s = min(RETRY_MAX_S, RETRY_S * 2**self._run.attempts) if failed else None
                await self._journal.release(self._run.id, self._run.fence, retry_in_s=wait_s)

    def log(self) -> AsyncIterator[Event]:
        return self._journal.log(self._run)

    def take(self) -> Commit:
        """What waits, numbered. The lock is held."""
        commit = Commit(self._run.id, self._run.fence, self._first, self._events, self._begun, self._ended)
        self._first = self.next_event
        self._events, self._begun, self._ended, self._bytes = [], [], [], 0
        return commit

    def committed(self, commit: Commit) -> None:
        self._live.publish(commit.first, commit.events)
        self._room.set()

    def lose(self, error: LlamaStackError) -> None:
        if self.lost is None:
            self.lost = error
            self._live.leave()
            self._room.set()
            self._on_lost()

    def _add(self, steps: list[Step], step: Step) -> None:
        if self.lost:
            raise self.lost
        steps.append(step)
        self._committer.add(self)

    async def _commit(
        self, begun: Iterable[Step] = (), ended: Sequence[Step] = (), outcome: Outcome | None = None
    ) -> None:
        # Cancelled or not, it must be known what was committed: more may follow (why the run failed).
        self._writers += 1
        task = asyncio.ensure_future(self._commit_all(begun, ended, outcome))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # `lost` keeps what went wrong
        await asyncio.shield(task)

    async def _commit_all(self, begun: Iterable[Step], ended: Sequence[Step], outcome: Outcome | None) -> None:
        try:
            async with self.lock:
                await self._commit_locked(begun, ended, outcome)
        finally:
            self._writers -= 1
            self._committer.add(self)  # what came meanwhile

    async def _commit_locked(self, begun: Iterable[Step], ended: Sequence[Step], outcome: Outcome | None) -> None:
        if self.lost:
            raise self.lost
        commit = self.take()
        commit.begun = [*commit.begun, *begun]
        commit.ended = [*commit.ended, *ended]
        if outcome is not None:
            commit.outcome, commit.erases = outcome, self._has_secrets
            commit.events = [*commit.events, *outcome.events]
            self._first = self.next_event = self.next_event + len(outcome.events)
        if not (commit.events or commit.begun or commit.ended or commit.outcome):
            return
        try:
            await self._journal.commit(commit)
        except Exception as error:
            self.lose(_as_ours(error))
            raise
        self.committed(commit)


class EphemeralRecorder:
    """Of a run that is not stored: keeps nothing, waits for nothing but a reader who is far behind."""

    def __init__(self, limits: RunLimits, live: LiveLog) -> None:
        self.lost: LlamaStackError | None = None
        self.next_event = 0
        self._limits = limits
        self._live = live
        self._log_bytes = 0

    def emit(self, event: bytes) -> int:
        if self.lost:
            raise self.lost
        self._log_bytes = check_event(self._limits, event, self._log_bytes)
        number = self.next_event
        self.next_event += 1
        self._live.publish(number, (event,))
        return number

    async def room(self) -> None:
        await self._live.room()

    async def begin(self, step: Step) -> None: ...

    async def end(self, step: Step) -> None: ...

    async def flush(self) -> None: ...

    async def finish(self, outcome: Outcome) -> None:
        self._live.publish(self.next_event, outcome.events)
        self._live.end(replace(outcome, events=()))

    async def release(self, *, failed: bool) -> None: ...

    async def log(self) -> AsyncIterator[Event]:
        nothing: Sequence[Event] = ()
        for event in nothing:
            yield event


def check_event(limits: RunLimits, event: bytes, log_bytes: int) -> int:
    """The size of the log with this event; `RunLimitExceeded` if it, or the event, is too large."""
    if len(event) > limits.event_bytes_max:
        check_limit(limits, "event_bytes_max", len(event), f"an event has {len(event)} bytes")
    if log_bytes + len(event) > limits.log_bytes_max:
        check_limit(limits, "log_bytes_max", log_bytes + len(event), "the run's events are too many")
    return log_bytes + len(event)


def _as_ours(error: Exception) -> LlamaStackError:
    if isinstance(error, LlamaStackError):
        return error
    logging.getLogger(__name__).error("a run cannot be written", exc_info=error)
    return LlamaStackError("the run could not be written; the server's log says why")
