"""Anthropic's Message Batches: requests that come in one body, and their results as lines of JSON."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from llama_stack.agent.ids import random_id
from llama_stack.config.batches import BatchesConfig
from llama_stack.dialects.anthropic.errors import render
from llama_stack.services.batches.intake import Intake
from llama_stack.services.batches.job import WINDOW_S
from llama_stack.services.batches.output import in_one_line
from llama_stack.services.batches.starting import BatchStarter, new_run_id
from llama_stack.services.files.spool import Spool, read
from llama_stack.storage.sql.batch_records import BatchRecord, SettledLine
from llama_stack.storage.sql.batches import BatchTable
from llama_stack_api.errors import InvalidRequest, LlamaStackError, NotFound, PayloadTooLarge
from llama_stack_api.principal import Call

if TYPE_CHECKING:
    from llama_stack_api.anthropic.batches import DeletedMessageBatch, MessageBatch, MessageBatchList, RequestCounts

PATH: Final = "/v1/messages/batches"
ENDPOINT: Final = "/v1/messages"
API: Final = "anthropic"

_READ_LINES: Final = 100
_NEVER_ANSWERED: Final = render(LlamaStackError("The batch failed before this request was answered."), "")
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class MessageBatchService:
    """`spool` holds a body until all of it is known to be right. `limits` are those of all batches; a body may take
    `upload_timeout_s` to come in.

    `base_url` is everywhere where the caller reached this server: batches tell where their results are.
    """

    table: BatchTable
    starter: BatchStarter
    spool: Spool
    limits: BatchesConfig
    upload_timeout_s: float
    clock: Callable[[], float] = time.time

    async def create(self, pieces: AsyncIterator[bytes], call: Call, base_url: str) -> MessageBatch:
        """`pieces` are the body of the request. A request whose `params` are wrong is an errored one; anything else
        that is wrong refuses the batch (`InvalidRequest`, `PayloadTooLarge`)."""
        now = self.clock()
        batch = BatchRecord(
            id=random_id("msgbatch"),
            tenant=call.principal.tenant,
            owner=call.principal.id,
            api=API,
            endpoint=ENDPOINT,
            status="validating",
            run=new_run_id(),
            created_at=now,
            expires_at=now + WINDOW_S,
        )
        intake = Intake(self.limits)
        async with self.spool.copy(intake.checked(pieces)) as path:
            await self.table.create(batch)
            async for group in Intake(self.limits).groups(read(path)):
                await self.table.add_lines(batch.id, group)
        await self.table.begin(batch.id, total=intake.total, model=None)
        await self.starter.start(batch, call)
        return await self.get(batch.id, call, base_url)

    def too_large(self) -> PayloadTooLarge:
        return PayloadTooLarge(
            f"The batch is larger than {self.limits.bytes_max} bytes; server.batches.bytes_max raises that limit."
        )

    async def get(self, batch_id: str, call: Call, base_url: str) -> MessageBatch:
        return self._shown(await self._record(batch_id, call), base_url)

    async def list(
        self, call: Call, base_url: str, *, after_id: str | None, before_id: str | None, limit: int
    ) -> MessageBatchList:
        """The newest first: those behind `after_id`, or those in front of `before_id`."""
        from llama_stack_api.anthropic.batches import MessageBatchList

        if after_id is not None and before_id is not None:
            raise InvalidRequest("Give only one of 'after_id' and 'before_id'.", param="before_id")
        try:
            page = await self.table.list(call.principal, API, after=after_id, before=before_id, limit=limit)
        except InvalidRequest as error:
            error.param = "before_id" if after_id is None else "after_id"
            raise
        data = [self._shown(batch, base_url) for batch in page.items]
        first, last = (data[0].id, data[-1].id) if data else (None, None)
        return MessageBatchList(data=data, has_more=page.has_more, first_id=first, last_id=last)

    async def cancel(self, batch_id: str, call: Call, base_url: str) -> MessageBatch:
        """What is not done will not be. A batch that has ended stays as it is."""
        try:
            return self._shown(await self.table.request_cancel(call.principal, API, batch_id), base_url)
        except NotFound:
            raise _missing(batch_id) from None

    async def delete(self, batch_id: str, call: Call) -> DeletedMessageBatch:
        """`Conflict` if it has not ended."""
        from llama_stack_api.anthropic.batches import DeletedMessageBatch

        try:
            await self.table.delete(call.principal, API, batch_id)
        except NotFound:
            raise _missing(batch_id) from None
        return DeletedMessageBatch(id=batch_id)

    async def results(self, batch_id: str, call: Call) -> AsyncGenerator[bytes, None]:
        """Blocks of whole lines, in the order of the requests. `NotFound` before the end, and when they are gone."""
        batch = await self._record(batch_id, call)
        if batch.ended_at is None:
            raise NotFound(f"Message batch '{batch_id}' has not ended: there are no results yet.")
        if self._archived_at(batch) is not None:
            raise NotFound(
                f"The results of message batch '{batch_id}' are gone; server.batches.results_retention_s keeps them "
                "longer."
            )
        return self._lines(batch)

    async def _lines(self, batch: BatchRecord) -> AsyncGenerator[bytes, None]:
        after = -1
        while lines := await self.table.results(batch.id, after_line=after, limit=_READ_LINES):
            yield b"".join(_result(line) for line in lines)
            after = lines[-1].line

    async def _record(self, batch_id: str, call: Call) -> BatchRecord:
        try:
            return await self.table.get(call.principal, API, batch_id)
        except NotFound:
            raise _missing(batch_id) from None

    def _shown(self, batch: BatchRecord, base_url: str) -> MessageBatch:
        from llama_stack_api.anthropic.batches import MessageBatch

        archived_at = self._archived_at(batch)
        has_results = batch.ended_at is not None and archived_at is None
        return MessageBatch(
            id=batch.id,
            processing_status=_status(batch),
            request_counts=_counts(batch),
            created_at=_time(batch.created_at),
            expires_at=_time(batch.expires_at),
            ended_at=_time_or_none(batch.ended_at),
            cancel_initiated_at=_time_or_none(batch.cancelling_at),
            archived_at=_time_or_none(archived_at),
            results_url=f"{base_url}{PATH}/{batch.id}/results" if has_results else None,
        )

    def _archived_at(self, batch: BatchRecord) -> float | None:
        """Also where nobody has removed the results yet whose time is over."""
        if batch.archived_at is not None:
            return batch.archived_at
        expire_at = batch.results_expire_at
        return expire_at if expire_at is not None and expire_at <= self.clock() else None


def _status(batch: BatchRecord) -> Literal["in_progress", "canceling", "ended"]:
    if batch.ended_at is not None:
        return "ended"
    return "canceling" if batch.cancelling_at is not None else "in_progress"


def _counts(batch: BatchRecord) -> RequestCounts:
    """Anthropic's tell nothing of single requests before the end."""
    from llama_stack_api.anthropic.batches import RequestCounts

    if batch.ended_at is None:
        return RequestCounts(processing=batch.total)
    return RequestCounts(
        processing=0,
        succeeded=batch.succeeded,
        errored=batch.errored,
        canceled=batch.canceled,
        expired=batch.expired,
    )


def _result(line: SettledLine) -> bytes:
    custom_id = _encode(line.custom_id)
    return b'{"custom_id":%b,"result":%b}\n' % (custom_id, _outcome(line))


def _outcome(line: SettledLine) -> bytes:
    if line.outcome == "succeeded":
        return b'{"type":"succeeded","message":%b}' % in_one_line(line.body or b"null")
    if line.outcome == "errored":
        return b'{"type":"errored","error":%b}' % in_one_line(line.body or _NEVER_ANSWERED)
    return b'{"type":"%b"}' % line.outcome.encode()


def _time(unix_s: float) -> str:
    """As RFC 3339 writes it."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _time_or_none(unix_s: float | None) -> str | None:
    return None if unix_s is None else _time(unix_s)


def _missing(batch_id: str) -> NotFound:
    return NotFound(f"There is no message batch '{batch_id[:100]}'.", param="message_batch_id")
