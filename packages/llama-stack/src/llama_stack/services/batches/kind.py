"""A batch as a kind of runs: its file is validated, its lines are carried out, its files written.

What is done is in the rows, not in the journal: a run that comes after a crash goes on with the lines that are not
settled, whatever it was about before. Cancelling is a state of the batch, at which the run looks.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import islice
from typing import Final, Protocol

import msgspec

from llama_stack.config.batches import BatchesConfig
from llama_stack.rag.retry import Patience, is_outage, is_transient, retried
from llama_stack.runs.handle import Ending, RunHandle
from llama_stack.runs.model import Closing, Outcome
from llama_stack.runs.secrets import Sealer, Secrets, call_of, open_secrets, with_attributes
from llama_stack.services.batches.job import KIND, Job
from llama_stack.services.batches.output import BatchOutputs
from llama_stack.services.batches.under_way import Lines, UnderWay, result_of
from llama_stack.services.batches.validation import Checker, Problem
from llama_stack.storage.sql.batch_records import BatchRecord, EndedStatus, LineOutcome, NewLine
from llama_stack.storage.sql.batches import BatchTable
from llama_stack_api.errors import LlamaStackError, NotFound
from llama_stack_api.ports.file_processors import SourceFile
from llama_stack_api.principal import Call, Principal

ADDED_AT_ONCE: Final = 256
ADDED_BYTES: Final = 4 * 1024 * 1024
"""Of the input file, about as much as is held in memory and written in one transaction."""
PATIENCE: Final = Patience(tries=60)
"""With the database and whoever keeps files: about half an hour."""


class InputFiles(Protocol):
    async def open_local(self, principal: Principal, file_id: str) -> AbstractAsyncContextManager[SourceFile]: ...


class BatchKind:
    """`lines` is there once the services are that answer them: they need the engine of runs, which needs this.
    `look_s`: seconds between looks at whether a batch is to go on."""

    name = KIND

    def __init__(
        self,
        *,
        batches: BatchTable,
        lines: Awaitable[Lines],
        inputs: InputFiles,
        outputs: BatchOutputs,
        sealer: Sealer,
        config: BatchesConfig,
        look_s: float = 0.5,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._batches = batches
        self._lines = lines
        self._inputs = inputs
        self._outputs = outputs
        self._sealer = sealer
        self._config = config
        self._look_s = look_s
        self._patience = patience or PATIENCE
        self._clock = clock

    async def execute(self, run: RunHandle) -> Outcome:
        job = msgspec.json.decode(run.payload, type=Job)
        await retried(
            lambda: self._carry_out(run, job),
            self._patience,
            run.deadline,
            lambda error: is_outage(error) or is_transient(error),
        )
        return Outcome()

    async def close(self, ending: Ending) -> Closing:
        """Out of time or attempts, broken by an error of ours, or cancelled by an operator. What was answered is not
        lost."""
        batch = await self._batches.find(msgspec.json.decode(ending.payload, type=Job).batch)
        if batch is None or batch.ended_at is not None:
            return Closing()
        error = ending.outcome.error
        problem = Problem(error.code, error.message) if error else Problem("server_error", "The batch was stopped.")
        while await self._batches.settle_rest(batch.id, "errored"):
            pass
        await self._end(batch.id, "failed", problems=[problem], lenient=True)
        return Closing()

    async def _carry_out(self, run: RunHandle, job: Job) -> None:
        batch = await self._batches.find(job.batch)
        if batch is None or batch.ended_at is not None:
            return
        if batch.in_progress_at is None and batch.status != "cancelling":
            if problems := await self._problems(batch):
                await self._end(batch.id, "failed", problems=problems)
                return
            batch = await self._found(batch.id)
        if batch.status == "in_progress":
            await self._answer(batch, run, job)
        await self._finish(batch.id)

    async def _problems(self, batch: BatchRecord) -> Sequence[Problem]:
        """What is wrong with its input. Without anything, all lines are there afterwards."""
        checker = Checker(batch.endpoint, self._config)
        try:
            opened = await self._inputs.open_local(_owner(batch).principal, batch.input_file or "")
        except NotFound:
            return [Problem("file_not_found", "The input file is not there any more.", "input_file_id")]
        async with opened as source:
            checked = await asyncio.to_thread(checker.check, source.path)
            if not checked.problems:
                await self._add(batch.id, checker.requests(source.path))
                await self._batches.begin(batch.id, total=checked.total, model=checked.model)
        return checked.problems

    async def _add(self, batch_id: str, lines: Iterator[NewLine]) -> None:
        while some := await asyncio.to_thread(_some, lines):
            await self._batches.add_lines(batch_id, some)

    async def _answer(self, batch: BatchRecord, run: RunHandle, job: Job) -> None:
        lines = await self._lines
        left_s = batch.expires_at - self._clock()
        deadline = asyncio.get_running_loop().time() + left_s
        try:
            secrets = open_secrets(self._sealer, run.secrets, run.run.id, Secrets)
        except LlamaStackError as error:
            await self._refuse_all(batch, lines, error)
            return
        principal = with_attributes(run.principal, job.attributes)
        call = call_of(principal, secrets, request_id=job.request_id, deadline=deadline)
        under_way = UnderWay(self._batches, lines, batch, call, self._config.requests_concurrent_max)
        if left_s > 0:
            await under_way.carry_on(lambda: self._over(batch), self._config.cancel_grace_s)

    async def _over(self, batch: BatchRecord) -> None:
        """Returns when the batch is cancelled, or its time is over."""
        while (left_s := batch.expires_at - self._clock()) > 0:
            await asyncio.sleep(min(self._look_s, left_s))
            now = await self._batches.find(batch.id)
            if now is None or now.status != "in_progress":
                return

    async def _refuse_all(self, batch: BatchRecord, lines: Lines, error: LlamaStackError) -> None:
        reply = lines.refused(batch.endpoint, error, "")
        while some := await self._batches.take(batch.id, limit=ADDED_AT_ONCE):
            await self._batches.settle(batch.id, [result_of(line.line, reply) for line in some])

    async def _finish(self, batch_id: str) -> None:
        """Whatever is not settled will not be; what is settled becomes files."""
        outcome: LineOutcome = "canceled" if (await self._found(batch_id)).status == "cancelling" else "expired"
        while await self._batches.settle_rest(batch_id, outcome):
            pass
        await self._batches.finalize(batch_id)
        batch = await self._found(batch_id)
        if batch.in_progress_at is None and batch.canceled:
            # Cancelled while its lines were being added: those that are there are all that it has.
            await self._batches.begin(batch_id, total=batch.canceled, model=None)
        status: EndedStatus = "expired" if batch.expired else "completed"
        await self._end(batch_id, "cancelled" if batch.status == "cancelling" else status)

    async def _end(
        self, batch_id: str, status: EndedStatus, *, problems: Sequence[Problem] = (), lenient: bool = False
    ) -> None:
        """`lenient`: without its files if they cannot be written; then the lines stay."""
        batch = await self._found(batch_id)
        files: tuple[str | None, str | None] = (None, None)
        kept_s = self._config.results_retention_s
        if batch.api == "openai":
            try:
                files = await self._outputs.write(batch, _owner(batch))
                kept_s = 0
            except LlamaStackError as error:
                if not lenient:
                    raise
                logging.getLogger(__name__).error("the batch %s ends without its files: %s", batch.id, error.message)
        errors = msgspec.json.encode(problems).decode() if problems else None
        await self._batches.end(
            batch.id, status, errors=errors, output_file=files[0], error_file=files[1], results_kept_s=kept_s
        )

    async def _found(self, batch_id: str) -> BatchRecord:
        batch = await self._batches.find(batch_id)
        if batch is None:
            raise NotFound("The batch was removed while it was carried out.")
        return batch


def _owner(batch: BatchRecord) -> Call:
    """For its files, which need no more than that."""
    return Call(principal=Principal(id=batch.owner, tenant=batch.tenant))


def _some(lines: Iterator[NewLine]) -> Sequence[NewLine]:
    some: list[NewLine] = []
    held = 0
    for line in islice(lines, ADDED_AT_ONCE):
        some.append(line)
        held += len(line.request)
        if held >= ADDED_BYTES:
            break
    return some
