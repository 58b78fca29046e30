"""The lines of one batch on their way: so many at a time, and each settled as soon as it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from llama_stack.services.batches.lines import LineReply
from llama_stack.storage.sql.batch_records import BatchRecord, LineOutcome, LineResult, LineUsage, PendingLine
from llama_stack.storage.sql.batches import BatchTable
from llama_stack_api.errors import LlamaStackError
from llama_stack_api.principal import Call

PAGE_LINES: Final = 16
"""Requests that are read at a time: they may be large."""


class Lines(Protocol):
    """Whoever answers requests of a batch; `LineRunner` says how."""

    async def run(self, endpoint: str, request: bytes, call: Call, *, batch: str, line: int) -> LineReply | None: ...

    def refused(self, endpoint: str, error: LlamaStackError, request_id: str) -> LineReply: ...


class Settling:
    """Answers that come while others are written share the next transaction."""

    def __init__(self, batches: BatchTable, batch_id: str) -> None:
        self._batches = batches
        self._batch_id = batch_id
        self._waiting: list[LineResult] = []
        self._writing = asyncio.Lock()

    async def settle(self, result: LineResult) -> None:
        self._waiting.append(result)
        async with self._writing:
            # Whoever had the lock before may have written it along.
            together, self._waiting = self._waiting, []
            if together:
                await self._batches.settle(self._batch_id, together)


@dataclass(frozen=True, slots=True)
class UnderWay:
    """`call.deadline` is when the batch's time is over; `concurrent_max` lines are under way at a time."""

    batches: BatchTable
    lines: Lines
    batch: BatchRecord
    call: Call
    concurrent_max: int

    async def carry_on(self, is_over: Callable[[], Awaitable[None]], grace_s: float) -> None:
        """Until each line is settled. Once `is_over()` returns, no more are begun, and those that have not been
        answered `grace_s` seconds later stay unsettled."""
        stopped = asyncio.Event()
        work = asyncio.create_task(self._work(stopped), name=f"lines of {self.batch.id}")
        over = asyncio.ensure_future(is_over())
        try:
            await asyncio.wait((work, over), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                stopped.set()
                await asyncio.wait((work,), timeout=grace_s)
            if over.done():
                over.result()
            if work.done():
                work.result()
        finally:
            for task in (work, over):
                task.cancel()
            await asyncio.gather(work, over, return_exceptions=True)

    async def _work(self, stopped: asyncio.Event) -> None:
        settling, free = Settling(self.batches, self.batch.id), asyncio.Semaphore(self.concurrent_max)
        after = -1
        try:
            async with asyncio.TaskGroup() as group:
                while lines := await self.batches.take(self.batch.id, after_line=after, limit=PAGE_LINES):
                    for line in lines:
                        await free.acquire()
                        if stopped.is_set():
                            return
                        group.create_task(self._answer(line, settling, free))
                    after = lines[-1].line
        except* LlamaStackError as errors:  # the store is away: one of them says so for all
            raise _first(errors) from None

    async def _answer(self, line: PendingLine, settling: Settling, free: asyncio.Semaphore) -> None:
        try:
            reply = await self.lines.run(
                self.batch.endpoint, line.request, self.call, batch=self.batch.id, line=line.line
            )
            # An error that comes when the time is over is that it is over.
            if reply is not None and (reply.ok or not self._is_late()):
                await settling.settle(result_of(line.line, reply))
        finally:
            free.release()

    def _is_late(self) -> bool:
        return self.call.deadline is not None and asyncio.get_running_loop().time() >= self.call.deadline


def result_of(line: int, reply: LineReply) -> LineResult:
    outcome: LineOutcome = "succeeded" if reply.ok else "errored"
    return LineResult(line, outcome, reply.status, reply.request_id, reply.body, reply.usage or LineUsage())


def _first(errors: BaseExceptionGroup[LlamaStackError]) -> LlamaStackError:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, LlamaStackError)
    return error
