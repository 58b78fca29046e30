"""One run in this process, from its claim to its end or to whoever goes on with it."""

from __future__ import annotations

import asyncio
import logging
from enum import Enum

from llama_stack.runs.errors import Fenced
from llama_stack.runs.handle import Ending, Kind, RunHandle, Steps
from llama_stack.runs.journal import Journal
from llama_stack.runs.limits import Endurance, RunLimits, check_limit, setting
from llama_stack.runs.live import LiveLog
from llama_stack.runs.model import Claim, Closing, Outcome, Replay, RunError, RunStatus
from llama_stack.runs.recorder import EphemeralRecorder, Recorder, SqlRecorder
from llama_stack_api.errors import LlamaStackError

CANCELLED = Outcome(RunStatus.CANCELLED)


class Stop(Enum):
    """Why a run's task is cancelled by us."""

    CANCEL = "cancel"
    RELEASE = "release"


class _Unfinished(Exception):
    """The executor is out before it could end its run."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class Execution:
    """The task of one run. `stop` ends it early; it then closes the log (cancelled) or gives the run back (released).

    A run that is lost (fenced, or its store is away) is neither: whoever claims it next goes on from the journal.
    `endurance` is its kind's, if that has one of its own.
    """

    def __init__(
        self, claim: Claim, kind: Kind, journal: Journal, live: LiveLog, endurance: Endurance | None = None
    ) -> None:
        self.run = claim.run
        self.live = live
        self.recorder: Recorder = EphemeralRecorder(journal.limits, live)
        self._payload = claim.payload
        self._secrets = claim.secrets
        self._kind = kind
        self._journal = journal
        self._endurance = endurance
        self._stop: Stop | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        self._task = asyncio.create_task(self._run(), name=f"run {self.run.id}")
        return self._task

    def stop(self, why: Stop) -> None:
        if self._stop is None and self._task is not None:
            self._stop = why
            self._task.cancel()

    def lost(self) -> None:
        """Nothing more can be written; called by the recorder."""
        if self._task is not None and asyncio.current_task() is not self._task:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            await self._run_to_end()
        except asyncio.CancelledError:
            await self._leave(failed=self.recorder.lost is not None)
            if self._stop is None and self.recorder.lost is None:
                raise
        except Exception as error:
            if self.recorder.lost is None:
                logging.getLogger(__name__).error("the run %s broke off", self.run.id, exc_info=error)
            await self._leave(failed=True)

    async def _run_to_end(self) -> None:
        replay = Replay()
        if isinstance(self.recorder, SqlRecorder) and self.run.fence > 1:
            replay = await self._journal.replay(self.run)
            self.recorder.resume(replay)
        try:
            outcome = await self._execute(replay)
        except _Unfinished as unfinished:
            await self._close(unfinished.outcome, replay)
        except asyncio.CancelledError:
            if self._stop is not Stop.CANCEL or self.recorder.lost is not None:
                raise
            await self._close(CANCELLED, replay)
        else:
            await self.recorder.finish(outcome)

    async def _execute(self, replay: Replay) -> Outcome:
        limits = self._journal.limits
        attempts_max, wall_time_s = self._lasting()
        if self.run.attempts > attempts_max:
            raise _failed(
                "run_attempts_exceeded",
                f"the run was interrupted {attempts_max} times{self._more('attempts_max', 'attempts')}",
            )
        started = self.run.started_at or self.run.created_at
        left_s = started + wall_time_s - self._journal.clock()
        try:
            async with asyncio.timeout(left_s) as time_limit:
                handle = self._handle(replay, asyncio.get_running_loop().time() + left_s)
                outcome = await self._kind.execute(handle)
                check_documents(limits, outcome)
                return outcome
        except TimeoutError as error:
            if time_limit.expired():
                raise _failed(
                    "run_timed_out",
                    f"the run took longer than {wall_time_s:g} s{self._more('wall_time_s', 'time')}",
                ) from None
            raise self._broken(error) from error
        except LlamaStackError as error:
            raise _Unfinished(Outcome(RunStatus.FAILED, error=RunError.of(error))) from error
        except Exception as error:
            raise self._broken(error) from error

    def _lasting(self) -> tuple[int, float]:
        """How often it may be begun, and how many seconds it may take."""
        endures = self._endurance or self._journal.limits
        return endures.attempts_max, endures.wall_time_s

    def _more(self, name: str, what: str) -> str:
        return f"; {setting(name)} allows more {what}" if self._endurance is None else ""

    def _handle(self, replay: Replay, deadline: float) -> RunHandle:
        steps = Steps(self.run, self.recorder, self._journal.limits, replay, self._journal.observer)
        return RunHandle(
            self.run, self._payload, deadline, self.live.stored, steps, self.recorder, secrets=self._secrets
        )

    def _broken(self, error: Exception) -> _Unfinished:
        logging.getLogger(__name__).error("the run %s failed", self.run.id, exc_info=error)
        return _failed("internal_error", "the run failed by an error of the server; its log says more")

    async def _close(self, outcome: Outcome, replay: Replay) -> None:
        """The executor is out; its kind has the last words."""
        await self.recorder.flush()
        steps = (await self._journal.replay(self.run)).steps if self.live.stored else replay.steps
        so_far = Replay(steps, self.recorder.next_event)
        ending = Ending(self.run, self._payload, outcome, so_far, self.recorder.log)
        closing = await closing_of(self._kind, ending, self._journal.limits)
        await self.recorder.finish(
            Outcome(outcome.status, closing.result, outcome.error, closing.events, closing.documents)
        )

    async def _leave(self, *, failed: bool) -> None:
        """Not ended here: let another worker have it, at once if we can say so."""
        self.live.leave()
        if isinstance(self.recorder.lost, Fenced):
            return
        try:
            await self.recorder.release(failed=failed)
        except LlamaStackError as error:  # then its lease runs out
            logging.getLogger(__name__).warning("the run %s is left to its lease: %s", self.run.id, error)


async def closing_of(kind: Kind, ending: Ending, limits: RunLimits) -> Closing:
    try:
        closing = await kind.close(ending)
        check_documents(limits, closing)
        return closing
    except Exception as error:
        logging.getLogger(__name__).error("the run %s has no last words", ending.run.id, exc_info=error)
        return Closing()


def check_documents(limits: RunLimits, end: Outcome | Closing) -> None:
    """`RunLimitExceeded` if one of the documents is too large."""
    for name, body in (("result", end.result or b""), *end.documents.items()):
        check_limit(limits, "payload_bytes_max", len(body), f"the run's {name} has {len(body)} bytes")


def _failed(code: str, message: str) -> _Unfinished:
    return _Unfinished(Outcome(RunStatus.FAILED, error=RunError(code, message)))
