"""The worker of a process: claims runs, executes them, keeps their leases, lets go of them."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any

from llama_stack.runs.errors import Fenced
from llama_stack.runs.execution import Execution, Stop
from llama_stack.runs.handle import Kind
from llama_stack.runs.holder import is_dead, new_holder
from llama_stack.runs.journal import Journal
from llama_stack.runs.limits import Endurance, RunTimings, setting
from llama_stack.runs.live import LiveLog, ReadOnceLog
from llama_stack.runs.model import Claim
from llama_stack.runs.recorder import Committer, SqlRecorder
from llama_stack.runs.wakes import Wakes
from llama_stack_api.errors import LlamaStackError, Overloaded

CLAIM_MAX = 16


class Worker:
    """`claims`: whether it also takes queued runs and those of dead workers, or only executes what is started here.

    `alone`: no other process serves this database, so every lease of another holder is a dead one's.

    `places`: kinds that have so many places of their own, and none of those that the others share (`concurrent_max`).
    `endurance`: kinds whose runs may take longer, and more attempts, than others.
    """

    def __init__(
        self,
        journal: Journal,
        wakes: Wakes,
        kinds: Mapping[str, Kind],
        timings: RunTimings,
        *,
        claims: bool,
        alone: bool,
        holder: str | None = None,
        places: Mapping[str, int] = MappingProxyType({}),
        endurance: Mapping[str, Endurance] = MappingProxyType({}),
    ) -> None:
        self._endurance = endurance
        self.holder = holder or new_holder()
        self._journal = journal
        self._wakes = wakes
        self._kinds = kinds
        self._timings = timings
        self._claims = claims and bool(kinds)
        self._alone = alone
        shared = tuple(kind for kind in kinds if kind not in places)
        self._groups = {shared: journal.limits.concurrent_max} if shared else {}
        self._groups |= {(kind,): places[kind] for kind in kinds if kind in places}
        self._committer = Committer(journal, timings.batch_s)
        self._executions: dict[str, Execution] = {}
        self._claimed: set[str] = set()
        self._orphans: set[tuple[str, int]] = set()
        self._heartbeats: asyncio.Task[None] | None = None
        self._claiming: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._runs: set[asyncio.Task[None]] = set()
        self._checks: set[asyncio.Task[None]] = set()
        self._closing = False

    async def open(self) -> None:
        if self._claims:
            await self._free_dead()
        self._wakes.moved = self.check
        self._committer.open()
        self._heartbeats = self._loop(self._heartbeat, "heartbeat of runs")
        if self._claims:
            self._claiming = self._loop(self._claim, "claims of runs")
            if not self._alone:
                self._watching = self._loop(self._watch_peers, "the look for workers that are gone")

    async def close(self) -> None:
        """Take nothing new, let what runs go on for a while, or until this is cancelled, then give it back."""
        self._closing = True
        for task in (self._claiming, self._watching):
            await _cancelled(task)
        hurried: asyncio.CancelledError | None = None
        if self._runs:
            try:
                await asyncio.wait(self._runs, timeout=self._timings.drain_s)
            except asyncio.CancelledError as error:
                hurried = error
        for execution in list(self._executions.values()):
            execution.stop(Stop.RELEASE if execution.live.stored else Stop.CANCEL)
        if self._runs:
            await asyncio.wait(self._runs)
        for task in (self._heartbeats, *self._checks):
            await _cancelled(task)
        await self._committer.close()
        await self._guarded(self._release_rest(), "release of runs")
        if hurried is not None:
            raise hurried

    def live(self, run_id: str) -> LiveLog | None:
        """Its log, as long as it executes here."""
        execution = self._executions.get(run_id)
        return None if execution is None or execution.live.gone else execution.live

    def execution(self, run_id: str) -> Execution | None:
        return self._executions.get(run_id)

    def check_room(self) -> None:
        """`Overloaded` if no more runs can be started for callers who wait."""
        if self._closing:
            raise Overloaded("the server is closing; try again", retry_after_s=1.0)
        foreground_max = self._journal.limits.foreground_max
        if len(self._executions) - len(self._claimed) >= foreground_max:
            raise Overloaded(
                f"{foreground_max} runs are executed here already; a larger {setting('foreground_max')} allows more",
                retry_after_s=1.0,
            )

    def start(self, claim: Claim) -> LiveLog:
        """Execute a stored run that this worker's `holder` has claimed."""
        live = LiveLog(claim.run)
        kind = claim.run.kind
        execution = Execution(claim, self._kinds[kind], self._journal, live, self._endurance.get(kind))
        execution.recorder = SqlRecorder(
            claim.run, self._journal, self._committer, live, execution.lost, has_secrets=bool(claim.secrets)
        )
        return self._start(execution)

    def start_ephemeral(self, claim: Claim, *, streamed: bool) -> LiveLog:
        """Execute a run that is stored nowhere. `streamed`: somebody will read its events, each once."""
        kept = self._journal.limits.uncommitted_bytes_max
        live = ReadOnceLog(claim.run, kept_bytes_max=kept) if streamed else LiveLog(claim.run, stored=False)
        return self._start(Execution(claim, self._kinds[claim.run.kind], self._journal, live))

    def check(self, run_id: str) -> None:
        """The run may have changed hands: ask the store now rather than at the next heartbeat."""
        execution = self._executions.get(run_id)
        if execution is not None and execution.live.stored:
            self._spawn(self._check(execution), "check of a run")

    def _start(self, execution: Execution) -> LiveLog:
        run_id = execution.run.id
        previous = self._executions.get(run_id)
        if previous is not None:  # it was lost here, and comes back before its task is through
            previous.stop(Stop.RELEASE)
        self._executions[run_id] = execution
        self._journal.observer.run_began(execution.run.kind, again=execution.run.fence > 1)
        task = execution.start()
        self._runs.add(task)
        task.add_done_callback(lambda done: self._ended(done, execution))
        self._wakes.ring(run_id)
        return execution.live

    def _ended(self, task: asyncio.Task[None], execution: Execution) -> None:
        self._runs.discard(task)
        run_id = execution.run.id
        self._journal.observer.run_left(execution.run.kind)
        if execution.live.outcome is not None:
            self._journal.ended(execution.run, execution.live.outcome.status)
        if self._executions.get(run_id) is execution:
            del self._executions[run_id]
            if run_id in self._claimed:
                self._claimed.discard(run_id)
                self._wakes.queued.set()  # there is room for another
        self._wakes.ring(run_id)

    def drop(self, run_id: str) -> None:
        """The run was taken from this worker, as the caller knows."""
        execution = self._executions.get(run_id)
        if execution is not None:
            self._lose(execution)

    async def _check(self, execution: Execution) -> None:
        fence = await self._journal.fence_of(execution.run.id)
        if fence != execution.run.fence:
            self._lose(execution)

    def _lose(self, execution: Execution) -> None:
        recorder = execution.recorder
        if isinstance(recorder, SqlRecorder) and not recorder.ending:
            recorder.lose(Fenced(execution.run.id))

    async def _claim(self) -> None:
        while True:
            self._wakes.queued.clear()
            claimed = [await self._claim_of(kinds, places) for kinds, places in self._groups.items()]
            if not any(claimed):
                await wait_for(self._wakes.queued, self._timings.poll_s)

    async def _claim_of(self, kinds: tuple[str, ...], places: int) -> int:
        """Take what there is room for, of kinds that share these places; how many."""
        busy = self._busy(kinds)
        room = min(CLAIM_MAX, places - busy.total())
        if room <= 0:
            return 0
        claims = await self._journal.claim(kinds, self.holder, lease_s=self._timings.lease_s, count_max=room, busy=busy)
        for claim in claims:
            self._claimed.add(claim.run.id)
            self.start(claim)
        return len(claims)

    def _busy(self, kinds: tuple[str, ...]) -> Counter[str]:
        """Claimed runs of these kinds by tenant."""
        runs = (self._executions[run_id].run for run_id in self._claimed)
        return Counter(run.tenant for run in runs if run.kind in kinds)

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(self._timings.heartbeat_s)
            executing = [execution for execution in self._executions.values() if execution.live.stored]
            if executing or self._orphans or self._claims:
                await self._renew(executing)
            if self._claims:
                self._journal.observer.waiting(await self._journal.waiting())

    async def _renew(self, executing: list[Execution]) -> None:
        held = await self._journal.renew(self.holder, lease_s=self._timings.lease_s)
        for execution in executing:
            if held.get(execution.run.id) != execution.run.fence:
                self._lose(execution)
        # What we hold and do not execute was left behind by a failing store. Not at first sight: it may be starting.
        orphans = {(run_id, fence) for run_id, fence in held.items() if run_id not in self._executions}
        for run_id, fence in orphans & self._orphans:
            await self._journal.release(run_id, fence)
        self._orphans = orphans - self._orphans

    async def _release_rest(self) -> None:
        """What was claimed and never started: the claim was cut off, or the store failed."""
        for run_id, fence in (await self._journal.renew(self.holder, lease_s=self._timings.lease_s)).items():
            await self._journal.release(run_id, fence)

    async def _watch_peers(self) -> None:
        while True:
            await asyncio.sleep(self._timings.poll_s)
            await self._free_dead()

    async def _free_dead(self) -> None:
        freed = await self._journal.free((lambda holder: holder != self.holder) if self._alone else is_dead)
        if freed:
            logging.getLogger(__name__).warning("%d runs of a worker that is gone are taken over", freed)
            self._wakes.queued.set()

    def _loop(self, loop: Callable[[], Awaitable[None]], name: str) -> asyncio.Task[None]:
        return asyncio.create_task(self._forever(loop, name), name=name)

    async def _forever(self, loop: Callable[[], Awaitable[None]], name: str) -> None:
        while True:
            try:
                await loop()
            except Exception as error:  # noqa: BLE001 — the task's boundary; the store may be back next time
                logging.getLogger(__name__).warning("%s failed, and tries again: %s", name, error)
                await asyncio.sleep(self._timings.poll_s)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(self._guarded(work, name), name=name)
        self._checks.add(task)
        task.add_done_callback(self._checks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None], name: str) -> None:
        try:
            await work
        except LlamaStackError as error:  # the heartbeat finds it out
            logging.getLogger(__name__).warning("%s failed: %s", name, error)


async def wait_for(event: asyncio.Event, timeout_s: float | None) -> None:
    """Until it is set, or the time is over (None: there is no limit)."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        pass


async def _cancelled(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
