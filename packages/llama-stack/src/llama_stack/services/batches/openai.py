"""OpenAI's batches: a file of requests that are answered within a day, for their owner."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from secrets import token_hex
from typing import Final, Protocol

import msgspec

from llama_stack.services.batches.job import WINDOW_S
from llama_stack.services.batches.starting import BatchStarter, new_run_id
from llama_stack.services.pages import list_json
from llama_stack.storage.sql.batch_records import BatchRecord, BatchStatus
from llama_stack.storage.sql.batches import BatchTable
from llama_stack_api.batches import (
    BatchError,
    BatchErrors,
    BatchObject,
    BatchRequestCounts,
    BatchUsage,
    CreateBatchRequest,
    InputTokensDetails,
    ListBatchesRequest,
    OutputTokensDetails,
)
from llama_stack_api.errors import Conflict, InvalidRequest, NotFound
from llama_stack_api.files import OpenAIFileObject, OpenAIFilePurpose
from llama_stack_api.principal import Call

WINDOW: Final = "24h"
_ENDED_AT: Final[Mapping[BatchStatus, str]] = {
    "completed": "completed_at",
    "failed": "failed_at",
    "expired": "expired_at",
    "cancelled": "cancelled_at",
}
_SAME: Final = ("endpoint", "input_file", "metadata", "output_expires_after_s")
"""What two requests with one idempotency key agree in."""


class Files(Protocol):
    async def get(self, file_id: str, call: Call) -> OpenAIFileObject: ...


class BatchService:
    """`endpoints` are those that a batch can name."""

    def __init__(
        self,
        batches: BatchTable,
        files: Files,
        starter: BatchStarter,
        endpoints: Collection[str],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._batches = batches
        self._files = files
        self._starter = starter
        self._endpoints = endpoints
        self._clock = clock

    async def create(self, request: CreateBatchRequest, call: Call, *, idempotency_key: str | None) -> BatchObject:
        """Its file is validated behind this. A key gives the batch that it gave before (`Conflict` if that was asked
        for something else)."""
        if request.endpoint not in self._endpoints:
            raise InvalidRequest(
                f"A batch cannot use the endpoint {request.endpoint[:100]!r}; it can use "
                f"{', '.join(sorted(self._endpoints))}.",
                param="endpoint",
                code="invalid_value",
            )
        new = self._record(request, call, idempotency_key)
        if new.idempotency_key is None or (batch := await self._known(new, call)) is None:
            await self._check_file(request.input_file_id, call)
            batch = (await self._batches.create(new)).batch
            self._check_same(batch, new)
        # Also for one that was there: whoever made it may have been killed before its run was started.
        if batch.ended_at is None:
            await self._starter.start(batch, call)
        return shown(batch)

    async def get(self, batch_id: str, call: Call) -> BatchObject:
        return shown(await self._batches.get(call.principal, "openai", batch_id))

    async def list_json(self, params: ListBatchesRequest, call: Call) -> bytes:
        page = await self._batches.list(call.principal, "openai", after=params.after, limit=params.limit)
        data = [shown(batch).model_dump(mode="json", exclude_none=True) for batch in page.items]
        return list_json(data, [batch.id for batch in page.items], more=page.has_more)

    async def cancel(self, batch_id: str, call: Call) -> BatchObject:
        """What is done stays done. `Conflict` if there is nothing left to cancel."""
        batch = await self._batches.request_cancel(call.principal, "openai", batch_id)
        if batch.status not in ("cancelling", "cancelled"):
            raise Conflict(f"The batch is {batch.status} and cannot be cancelled any more.", param="batch_id")
        return shown(batch)

    async def _known(self, new: BatchRecord, call: Call) -> BatchRecord | None:
        """The file of a batch may be gone when its request comes again."""
        batch = await self._batches.of_key(call.principal, "openai", new.idempotency_key or "")
        if batch is not None:
            self._check_same(batch, new)
        return batch

    def _check_same(self, batch: BatchRecord, new: BatchRecord) -> None:
        if any(getattr(batch, name) != getattr(new, name) for name in _SAME):
            raise Conflict(
                "This idempotency key was used for another batch; use a new one.",
                param="idempotency_key",
                code="idempotency_conflict",
            )

    async def _check_file(self, file_id: str, call: Call) -> None:
        try:
            file = await self._files.get(file_id, call)
        except NotFound as error:
            raise InvalidRequest(error.message, param="input_file_id", code="file_not_found") from None
        if file.purpose != OpenAIFilePurpose.BATCH:
            raise InvalidRequest(
                f"The file has the purpose '{file.purpose}'; upload the input of a batch with the purpose 'batch'.",
                param="input_file_id",
                code="invalid_file_purpose",
            )

    def _record(self, request: CreateBatchRequest, call: Call, idempotency_key: str | None) -> BatchRecord:
        now = self._clock()
        expires_after = request.output_expires_after
        return BatchRecord(
            id=f"batch_{token_hex(16)}",
            tenant=call.principal.tenant,
            owner=call.principal.id,
            api="openai",
            endpoint=request.endpoint,
            status="validating",
            run=new_run_id(),
            created_at=now,
            expires_at=now + WINDOW_S,
            idempotency_key=idempotency_key or request.idempotency_key,
            metadata=None if request.metadata is None else _json(request.metadata),
            input_file=request.input_file_id,
            output_expires_after_s=None if expires_after is None else expires_after.seconds,
        )


def shown(batch: BatchRecord) -> BatchObject:
    times = ("in_progress_at", "cancelling_at", "finalizing_at")
    at = {name: value for name in times if (value := getattr(batch, name)) is not None}
    if batch.ended_at is not None:
        at[_ENDED_AT[batch.status]] = batch.ended_at
    failed = batch.errored + batch.expired + batch.canceled
    counts = BatchRequestCounts(total=batch.total, completed=batch.succeeded, failed=failed)
    return BatchObject(
        id=batch.id,
        endpoint=batch.endpoint,
        input_file_id=batch.input_file or "",
        completion_window=WINDOW,
        status=batch.status,
        created_at=int(batch.created_at),
        expires_at=int(batch.expires_at),
        output_file_id=batch.output_file,
        error_file_id=batch.error_file,
        errors=_errors(batch.errors),
        request_counts=counts,
        metadata=None if batch.metadata is None else msgspec.json.decode(batch.metadata),
        model=batch.model,
        usage=_usage(batch),
        **{name: int(value) for name, value in at.items()},
    )


def _errors(errors: str | None) -> BatchErrors | None:
    if errors is None:
        return None
    return BatchErrors(object="list", data=[BatchError.model_validate(each) for each in msgspec.json.decode(errors)])


def _usage(batch: BatchRecord) -> BatchUsage:
    return BatchUsage(
        input_tokens=batch.input_tokens,
        input_tokens_details=InputTokensDetails(cached_tokens=batch.cached_tokens),
        output_tokens=batch.output_tokens,
        output_tokens_details=OutputTokensDetails(reasoning_tokens=batch.reasoning_tokens),
        total_tokens=batch.input_tokens + batch.output_tokens,
    )


def _json(metadata: Mapping[str, str]) -> str:
    return msgspec.json.encode(metadata, order="sorted").decode()
