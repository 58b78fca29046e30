"""Batches and their lines as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

BatchApi: TypeAlias = Literal["openai", "anthropic"]
BatchStatus: TypeAlias = Literal[
    "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"
]
"""OpenAI's. A message batch is `in_progress` from its first moment that a client sees."""
EndedStatus: TypeAlias = Literal["completed", "failed", "expired", "cancelled"]
LineOutcome: TypeAlias = Literal["succeeded", "errored", "expired", "canceled"]


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """A row of `ls_batches`, in the order of its columns. Times are Unix seconds, files are ids.

    `metadata` is a JSON object and `errors` a JSON array, where they are set. `succeeded`, `errored`, `expired` and
    `canceled` count settled lines; what `total` has beyond them is still to do.
    """

    id: str
    tenant: str
    owner: str
    api: BatchApi
    endpoint: str
    status: BatchStatus
    run: str
    created_at: float
    expires_at: float
    idempotency_key: str | None = None
    metadata: str | None = None
    model: str | None = None
    input_file: str | None = None
    output_file: str | None = None
    error_file: str | None = None
    output_expires_after_s: int | None = None
    errors: str | None = None
    in_progress_at: float | None = None
    cancelling_at: float | None = None
    finalizing_at: float | None = None
    ended_at: float | None = None
    results_expire_at: float | None = None
    archived_at: float | None = None
    removed_at: float | None = None
    total: int = 0
    succeeded: int = 0
    errored: int = 0
    expired: int = 0
    canceled: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class CreatedBatch:
    """`new` is False where the idempotency key named a batch that was there."""

    batch: BatchRecord
    new: bool


@dataclass(frozen=True, slots=True)
class BatchPage:
    """The newest first."""

    items: Sequence[BatchRecord]
    has_more: bool


class NewLine(NamedTuple):
    """`line` counts from 0; `request` is the body of the request, JSON."""

    line: int
    custom_id: str
    request: bytes


class PendingLine(NamedTuple):
    line: int
    custom_id: str
    request: bytes


class LineUsage(NamedTuple):
    """Tokens. `cached_tokens` are of the input, `reasoning_tokens` of the output."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0


class LineResult(NamedTuple):
    """How a line ended: the answer's status, body (JSON) and request id; without an answer, None."""

    line: int
    outcome: LineOutcome
    status: int | None = None
    request_id: str | None = None
    body: bytes | None = None
    usage: LineUsage = LineUsage()


class SettledLine(NamedTuple):
    """`status`, `request_id` and `body` as in `LineResult`; `usage` went into the batch's."""

    line: int
    custom_id: str
    outcome: LineOutcome
    status: int | None
    request_id: str | None
    body: bytes | None
