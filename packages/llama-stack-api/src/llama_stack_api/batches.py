"""Batches: a file of requests, answered in the background."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from llama_stack_api.base import JsonObject, Metadata, UnixTime, WireModel
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


class BatchObject(WireModel):
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
    usage: JsonObject | None = None


class CreateBatchRequest(WireModel):
    """A second request with the same `idempotency_key` returns the first one's batch."""

    input_file_id: str
    endpoint: str
    completion_window: Literal["24h"]
    metadata: Metadata | None = None
    idempotency_key: str | None = None


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
