"""Batches: a file of requests, answered in the background."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from pydantic import Field

from llama_stack_api.base import Metadata, UnixTime, WireModel
from llama_stack_api.files import EXPIRES_AFTER_MAX_S, EXPIRES_AFTER_MIN_S
from llama_stack_api.paging import Page, PageParams


class BatchError(WireModel):
    """`line` is the line of the input file that it is about."""

    code: str | None = None
    line: int | None = None
    message: str | None = None
    param: str | None = None


class BatchErrors(WireModel):
    object: Literal["list"] | str | None = None
    data: list[BatchError] | None = None


class BatchRequestCounts(WireModel):
    total: int
    completed: int
    failed: int


class InputTokensDetails(WireModel):
    cached_tokens: int


class OutputTokensDetails(WireModel):
    reasoning_tokens: int


class BatchUsage(WireModel):
    """Tokens of all requests that were answered."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class BatchObject(WireModel):
    """`request_counts.failed` counts what was not answered in time, or was cancelled, too. `model` is the one that all
    requests name."""

    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    input_file_id: str
    completion_window: str
    status: Literal[
        "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"
    ]
    created_at: UnixTime
    in_progress_at: UnixTime | None = None
    expires_at: UnixTime | None = None
    finalizing_at: UnixTime | None = None
    completed_at: UnixTime | None = None
    failed_at: UnixTime | None = None
    expired_at: UnixTime | None = None
    cancelling_at: UnixTime | None = None
    cancelled_at: UnixTime | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: BatchErrors | None = None
    request_counts: BatchRequestCounts | None = None
    metadata: Metadata | None = None
    model: str | None = None
    usage: BatchUsage | None = None


class BatchExpiresAfter(WireModel):
    """When the files of a batch expire: `seconds` after their creation, an hour to 30 days."""

    anchor: Literal["created_at"]
    seconds: int = Field(ge=EXPIRES_AFTER_MIN_S, le=EXPIRES_AFTER_MAX_S)


class CreateBatchRequest(WireModel):
    """A second request with the same `idempotency_key` returns the first one's batch."""

    input_file_id: str
    endpoint: str
    """`/v1/chat/completions`, `/v1/completions`, `/v1/embeddings`, `/v1/responses` or `/v1/moderations`."""
    completion_window: Literal["24h"]
    metadata: Metadata | None = None
    output_expires_after: BatchExpiresAfter | None = None
    idempotency_key: str | None = Field(default=None, min_length=1, max_length=256)


class ListBatchesRequest(PageParams):
    pass


class ListBatchesResponse(Page[BatchObject]):
    pass


class RetrieveBatchRequest(WireModel):
    batch_id: str


class CancelBatchRequest(WireModel):
    batch_id: str


@runtime_checkable
class Batches(Protocol):
    async def create_batch(self, request: CreateBatchRequest) -> BatchObject: ...

    async def retrieve_batch(self, request: RetrieveBatchRequest) -> BatchObject: ...

    async def cancel_batch(self, request: CancelBatchRequest) -> BatchObject: ...

    async def list_batches(self, request: ListBatchesRequest) -> ListBatchesResponse: ...
