"""Runs, steps and events as values."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, TypeAlias

import msgspec

from llama_stack.storage.sql.database import Row
from llama_stack_api.errors import LlamaStackError


class RunStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    INCOMPLETE = "incomplete"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self not in (RunStatus.QUEUED, RunStatus.RUNNING)


class StepStatus(StrEnum):
    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class RunError(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a run, or a step, failed: for its owner to read, without secrets.

    To whoever waits for it, it is an HTTP error of this `status`; `param` is what of the request is to blame.
    """

    code: str
    message: str
    status: int = 500
    param: str | None = None

    @classmethod
    def of(cls, error: LlamaStackError) -> RunError:
        return cls(error.code or "internal_error", error.message, error.status, error.param)


class Event(NamedTuple):
    """`number` counts from 0 without a gap; `data` is what the executor emitted."""

    number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class NewRun:
    """What is asked for. Times are Unix seconds; `payload` and results are bytes that only the kind understands."""

    kind: str
    payload: bytes
    background: bool = False
    idempotency_key: str | None = None
    parent: str | None = None
    """A run that this one goes on from, of the same owner. What a chain needs of it stays as long as this one does."""
    not_before: float | None = None
    id: str | None = None
    """Unguessable; made by the journal if it is not given."""
    label: str | None = None
    """What lists are filtered by, if its kind has such a thing."""
    secrets: bytes = b""
    """Sealed by its kind, and bound to the run. The journal keeps them apart from the payload, and erases them in the
    transaction that ends the run, whoever ends it and how."""


@dataclass(frozen=True, slots=True)
class Run:
    """A row of the journal, in the order of its columns there. Times are Unix seconds."""

    id: str
    tenant: str
    owner: str
    kind: str
    status: RunStatus
    background: bool
    parent: str | None
    fence: int
    attempts: int
    created_at: float
    updated_at: float
    started_at: float | None = None
    ended_at: float | None = None
    error: RunError | None = None
    label: str | None = None
    events_expired: bool = False
    """The run has ended so long ago that its events are gone; its result is not."""

    @classmethod
    def of(cls, row: Row) -> Run:
        values = dict(zip(cls.__dataclass_fields__, row, strict=True))
        values["status"] = RunStatus(values["status"])
        values["background"] = bool(values["background"])
        values["events_expired"] = bool(values["events_expired"])
        values["error"] = msgspec.json.decode(values["error"], type=RunError) if values["error"] else None
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Created:
    """`new` is False where the idempotency key named a run that was there."""

    run: Run
    new: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that a worker holds, until `run.fence` is not the stored one any more."""

    run: Run
    payload: bytes
    secrets: bytes = b""


@dataclass(frozen=True, slots=True)
class Step:
    number: int
    key: str
    kind: str
    status: StepStatus
    idempotent: bool
    intent: bytes
    result: bytes | None = None
    """What the effect returned; of a failed step, its `RunError` as JSON."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What a run has behind it when it is claimed again."""

    steps: Sequence[Step] = ()
    next_event: int = 0
    log_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. `result` is stored for its owner.

    `events` are those that close the log, numbered from the run's `next_event` on. They are committed with the end, so
    that nobody has seen the end of a run that then goes on after a crash; never emit them before.

    `documents` are further ones, by names of the kind's own, committed with the end and read by `Journal.document` and
    `Journal.chain`. They outlive the result where other runs go on from this one.
    """

    status: RunStatus = RunStatus.COMPLETED
    result: bytes | None = None
    error: RunError | None = None
    events: Sequence[bytes] = ()
    documents: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Closing:
    """The events that close a log whose executor cannot, and the result that the run's owner then reads, with further
    documents as an `Outcome` has them."""

    events: Sequence[bytes] = ()
    result: bytes | None = None
    documents: Mapping[str, bytes] = field(default_factory=dict)


LastWords: TypeAlias = Callable[[Run, int], Awaitable[Closing]]
"""Asked for the closing of a run, given the number of the first event that may be added."""
