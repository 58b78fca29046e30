"""What an executor holds of its run, and the port by which a kind of runs is registered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from llama_stack.runs.errors import StepFailed, StepInterrupted
from llama_stack.runs.limits import RunLimits, check_limit
from llama_stack.runs.model import Closing, Event, Outcome, Replay, Run, RunError, Step, StepStatus
from llama_stack.runs.observer import RunObserver
from llama_stack.runs.recorder import Recorder
from llama_stack_api.errors import Conflict, LlamaStackError
from llama_stack_api.principal import Principal

Effect = Callable[[], Awaitable[bytes]]


class Steps:
    """The steps of one run, by keys that the executor chooses and would choose again after a crash."""

    def __init__(self, run: Run, recorder: Recorder, limits: RunLimits, replay: Replay, observer: RunObserver) -> None:
        self._run = run
        self._recorder = recorder
        self._limits = limits
        self._observer = observer
        self._known = {step.key: step for step in replay.steps}
        self._keys = set(self._known)
        self._number = max((step.number for step in replay.steps), default=-1) + 1

    @property
    def replayed(self) -> Sequence[Step]:
        """What earlier attempts left, in the order in which it began. Empty in a first attempt."""
        return tuple(self._known.values())

    def idempotency_key(self, key: str) -> str:
        """For an effect that takes one: the same for this step of this run, in every attempt."""
        return f"{self._run.id}:{key}"

    async def run_step(self, key: str, kind: str, *, idempotent: bool, intent: bytes, effect: Effect) -> bytes:
        """The result of `effect()`, or what it gave before a crash.

        The intent is committed before the effect starts and the result before it is returned, both with the events
        emitted until then. Of an `idempotent` step nothing is waited for: both are committed with, or before, whatever
        comes of them (an event that is sent, an effect that is not idempotent, the run's end).

        Raises `StepFailed` if the effect raised a `LlamaStackError`, now or in an earlier attempt, `StepInterrupted` if
        it was in flight at a crash and is not `idempotent`.
        """
        check_limit(
            self._limits, "step_bytes_max", len(intent), f"the intent of the step {key} has {len(intent)} bytes"
        )
        step = self._known.pop(key, None)
        if step is not None and step.status is not StepStatus.STARTED:
            if step.status is StepStatus.INTERRUPTED:
                self._observer.step_ended(kind, step.status)
            return _replayed(step)
        if step is None:
            step = self._new(key, kind, idempotent, intent)
        await self._recorder.begin(step)
        try:
            result = await effect()
        except LlamaStackError as error:
            if self._recorder.lost is None:
                failure = RunError.of(error)
                await self._end(_ended(step, StepStatus.FAILED, msgspec.json.encode(failure)))
                raise StepFailed(failure) from error
            raise
        check_limit(
            self._limits, "step_bytes_max", len(result), f"the result of the step {key} has {len(result)} bytes"
        )
        await self._end(_ended(step, StepStatus.DONE, result))
        return result

    async def _end(self, step: Step) -> None:
        await self._recorder.end(step)
        self._observer.step_ended(step.kind, step.status)

    def _new(self, key: str, kind: str, idempotent: bool, intent: bytes) -> Step:
        if key in self._keys:
            raise Conflict(f"the run has a step {key} already")
        self._keys.add(key)
        check_limit(self._limits, "steps_max", len(self._keys), f"the run takes {len(self._keys)} steps")
        number, self._number = self._number, self._number + 1
        return Step(number, key, kind, StepStatus.STARTED, idempotent, intent)


@dataclass(frozen=True, slots=True)
class RunHandle:
    """`deadline` is a time of the event loop's clock. The run ends early only by cancellation of its task: by whoever
    cancels the run, at its deadline, when another worker has it, or when this process closes."""

    run: Run
    payload: bytes
    deadline: float
    stored: bool
    steps: Steps
    recorder: Recorder
    secrets: bytes = b""
    """As they came with the run; gone from the store at its end."""

    @property
    def principal(self) -> Principal:
        """Whose run it is. Attributes are not stored with a run; a kind that needs them puts them in the payload."""
        return Principal(id=self.run.owner, tenant=self.run.tenant)

    @property
    def next_event(self) -> int:
        """The number that the next `emit` gives, as long as nothing is awaited in between."""
        return self.recorder.next_event

    @property
    def cancelled(self) -> bool:
        """The run is not this worker's any more. Its task is cancelled too; this is for what runs beside it."""
        return self.recorder.lost is not None

    async def emit(self, event: bytes) -> int:
        """Add an event to the log; returns its number at once, or when a reader or the store has caught up."""
        number = self.recorder.emit(event)
        await self.recorder.room()
        return number

    def log(self) -> AsyncIterator[Event]:
        """The committed events, of earlier attempts too. Without a store, none."""
        return self.recorder.log()


@dataclass(frozen=True, slots=True)
class Ending:
    """A run that ends without its executor: cancelled, out of time, out of attempts, failed. `replay.next_event` is the
    number of the first event that may still be added."""

    run: Run
    payload: bytes
    outcome: Outcome
    replay: Replay
    log: Callable[[], AsyncIterator[Event]]


class Kind(Protocol):
    """What some runs do. Registered with the engine; a worker claims runs of the kinds that it has."""

    @property
    def name(self) -> str: ...

    async def execute(self, run: RunHandle) -> Outcome:
        """Do it, emitting events; those that close the log go with the outcome. What it raises fails the run."""
        ...

    async def close(self, ending: Ending) -> Closing:
        """Close the log of a run whose executor cannot."""
        ...


def _replayed(step: Step) -> bytes:
    if step.status is StepStatus.INTERRUPTED:
        raise StepInterrupted(step.key)
    result = step.result or b""
    if step.status is StepStatus.FAILED:
        raise StepFailed(msgspec.json.decode(result, type=RunError))
    return result


def _ended(step: Step, status: StepStatus, result: bytes) -> Step:
    return Step(step.number, step.key, step.kind, status, step.idempotent, step.intent, result)
