"""The files that a batch leaves: the answers, and what was not answered, each in the order of the requests.

Their ids are made of the batch's, so that a batch which was interrupted while it wrote them finds them again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from hashlib import sha256
from typing import Final, Literal, TypeAlias

import msgspec

from llama_stack.services.files.service import FileService
from llama_stack.storage.sql.batch_records import BatchRecord, SettledLine
from llama_stack.storage.sql.batches import BatchTable
from llama_stack_api.errors import NotFound
from llama_stack_api.files import ExpiresAfter, OpenAIFilePurpose
from llama_stack_api.principal import Call

PAGE_LINES: Final = 16
"""Answers that are read at a time: they may be large."""
MEDIA_TYPE: Final = "application/jsonl"
Part: TypeAlias = Literal["output", "error"]

_UNANSWERED: Final = {
    "expired": ("batch_expired", "This request could not be executed before the completion window expired."),
    "canceled": ("batch_cancelled", "The batch was cancelled before this request was executed."),
    "errored": ("batch_failed", "The batch failed before this request was executed."),
}


class _Response(msgspec.Struct):
    status_code: int
    request_id: str
    body: msgspec.Raw


class _Error(msgspec.Struct):
    code: str
    message: str


class _Line(msgspec.Struct):
    id: str
    custom_id: str
    response: _Response | None
    error: _Error | None


class BatchOutputs:
    def __init__(self, batches: BatchTable, files: FileService) -> None:
        self._batches = batches
        self._files = files

    async def write(self, batch: BatchRecord, call: Call) -> tuple[str | None, str | None]:
        """The ids of the output and the error file of a batch whose lines are all settled; None where it would be
        empty."""
        failed = batch.errored + batch.expired + batch.canceled
        output = await self._written(batch, "output", call) if batch.succeeded else None
        return output, await self._written(batch, "error", call) if failed else None

    async def _written(self, batch: BatchRecord, part: Part, call: Call) -> str:
        file_id = _file_id(batch.id, part)
        try:
            return (await self._files.get(file_id, call)).id
        except NotFound:
            pass
        expires_after = None
        if batch.output_expires_after_s is not None:
            expires_after = ExpiresAfter(seconds=batch.output_expires_after_s)
        name = f"{batch.id}_{part}.jsonl"
        async with (
            aclosing(self._content(batch, part)) as content,
            self._files.draft(
                content, call, filename=name, content_type=MEDIA_TYPE, purpose=OpenAIFilePurpose.BATCH_OUTPUT
            ) as draft,
        ):
            return (await self._files.add(draft, expires_after, call, file_id=file_id)).id

    async def _content(self, batch: BatchRecord, part: Part) -> AsyncGenerator[bytes, None]:
        after = -1
        while lines := await self._batches.results(batch.id, after_line=after, limit=PAGE_LINES):
            for line in lines:
                if (line.outcome == "succeeded") == (part == "output"):
                    yield line_json(batch.id, line)
            after = lines[-1].line


def line_json(batch_id: str, line: SettledLine) -> bytes:
    """A line of a file, with its end."""
    response, error = None, None
    if line.body is None:
        error = _Error(*_UNANSWERED[line.outcome])
    else:
        response = _Response(line.status or 200, line.request_id or "", msgspec.Raw(in_one_line(line.body)))
    request_id = f"batch_req_{_digest(batch_id, str(line.line))}"
    return msgspec.json.encode(_Line(request_id, line.custom_id, response, error)) + b"\n"


def in_one_line(body: bytes) -> bytes:
    """An upstream may have answered with JSON for people to read. Its line breaks are between members: within a string
    JSON has none."""
    return body.replace(b"\n", b" ").replace(b"\r", b" ")


def _file_id(batch_id: str, part: Part) -> str:
    return f"file-{_digest(batch_id, part)}"


def _digest(batch_id: str, of: str) -> str:
    return sha256(f"{batch_id}:{of}".encode()).hexdigest()[:32]
