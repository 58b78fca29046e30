"""Batches without the server: the run engine and its kind over a real database, files on the local disk, and somebody
who answers lines as a test says."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from llama_stack.config.batches import BatchesConfig
from llama_stack.config.files import FilesConfig
from llama_stack.dialects.openai import errors
from llama_stack.rag.retry import Patience
from llama_stack.runs.engine import RunEngine
from llama_stack.runs.limits import RunLimits, RunTimings
from llama_stack.security.sealing import KeySealer
from llama_stack.services.batches.job import KIND
from llama_stack.services.batches.kind import BatchKind
from llama_stack.services.batches.lines import LineReply
from llama_stack.services.batches.openai import BatchService
from llama_stack.services.batches.output import BatchOutputs
from llama_stack.services.batches.starting import BatchStarter
from llama_stack.services.batches.under_way import Lines
from llama_stack.services.files.contents import Contents
from llama_stack.services.files.port import LocalFiles
from llama_stack.services.files.service import FileService
from llama_stack.services.files.spool import Spool
from llama_stack.storage.sql.batch_records import BatchRecord, LineUsage
from llama_stack.storage.sql.batches import BatchTable
from llama_stack.storage.sql.blobs import BlobTable
from llama_stack.storage.sql.database import Database
from llama_stack.storage.sql.files import FileTable
from llama_stack_api.errors import LlamaStackError
from llama_stack_api.files import OpenAIFilePurpose
from llama_stack_api.principal import Call, Principal
from tests.providers.files.places import opened
from tests.support.batching import CHAT, ENDED, chat_line, jsonl, parsed

USAGE = LineUsage(3, 1, 2, 0)
TIMINGS = RunTimings(lease_s=5, poll_s=0.02, batch_s=0.005, drain_s=0.05)
ROOMY = RunLimits()
_numbers = itertools.count()


class Answers:
    """Answers each line by `says`, once it has asked it; by default, with its text."""

    def __init__(self) -> None:
        self.says: Callable[[str], Awaitable[LineReply | None]] = self.echo
        self.asked: list[str] = []
        self.calls: list[Call] = []

    async def echo(self, said: str) -> LineReply | None:
        return LineReply(200, json.dumps({"said": said}).encode(), f"req_{said}", USAGE)

    async def run(self, endpoint: str, request: bytes, call: Call, *, batch: str, line: int) -> LineReply | None:
        said = json.loads(request)["messages"][0]["content"]
        self.asked.append(said)
        self.calls.append(call)
        return await self.says(said)

    def refused(self, endpoint: str, error: LlamaStackError, request_id: str) -> LineReply:
        return LineReply(error.status, errors.render(error), request_id)


class BatchHouse:
    """Everything of one process, for a principal of its own."""

    def __init__(self, database: Database, files: FileService, spool: Spool, sealer: KeySealer) -> None:
        self.database = database
        self.files = files
        self.sealer = sealer
        self.answers = Answers()
        self.table = BatchTable(database)
        self.outputs = BatchOutputs(self.table, files)
        self.principal = Principal(f"alice-{next(_numbers)}", "acme", attributes={"roles": ("admin",)})
        self.call = Call(principal=self.principal)
        self._local = LocalFiles(files, spool)

    def engine(self, *, limits: RunLimits = ROOMY, sealer: KeySealer | None = None, **config: Any) -> RunEngine:
        """Another process, if it is opened."""
        lines: asyncio.Future[Lines] = asyncio.get_running_loop().create_future()
        lines.set_result(self.answers)
        kind = BatchKind(
            batches=self.table,
            lines=lines,
            inputs=self._local,
            outputs=self.outputs,
            sealer=sealer or self.sealer,
            config=BatchesConfig(**{"cancel_grace_s": 0.05, **config}),
            look_s=0.01,
            patience=Patience(tries=2, first_s=0.001),
        )
        return RunEngine(self.database, [kind], limits=limits, timings=TIMINGS, places={KIND: 4})

    def service(self, engine: RunEngine) -> BatchService:
        return BatchService(self.table, self.files, BatchStarter(self.table, engine, self.sealer, ()), [CHAT])

    async def upload(self, content: bytes, call: Call | None = None) -> str:
        async def body() -> AsyncIterator[bytes]:
            yield content

        call = call or self.call
        purpose = OpenAIFilePurpose.BATCH
        async with self.files.draft(
            body(), call, filename="in.jsonl", content_type="application/jsonl", purpose=purpose
        ) as draft:
            return (await self.files.add(draft, None, call)).id

    async def record(self, words: list[str], **changes: Any) -> BatchRecord:
        """A batch whose file says these words, not begun."""
        number = f"{self.principal.id}-{next(_numbers)}"
        now = time.time()
        fields: dict[str, Any] = {
            "id": f"batch_{number}",
            "tenant": self.principal.tenant,
            "owner": self.principal.id,
            "api": "openai",
            "endpoint": CHAT,
            "status": "validating",
            "run": f"run_{number}",
            "created_at": now,
            "expires_at": now + 60,
        }
        if "input_file" not in changes:
            fields["input_file"] = await self.upload(jsonl([chat_line(word, word) for word in words]))
        return (await self.table.create(BatchRecord(**{**fields, **changes}))).batch

    async def start(self, engine: RunEngine, batch: BatchRecord, call: Call | None = None) -> BatchRecord:
        await BatchStarter(self.table, engine, self.sealer, ()).start(batch, call or self.call)
        return batch

    async def until(self, batch_id: str, *statuses: str) -> BatchRecord:
        async with asyncio.timeout(10):
            while True:
                batch = await self.table.find(batch_id)
                assert batch is not None
                if batch.status in (statuses or ENDED):
                    return batch
                await asyncio.sleep(0.005)

    async def asked(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.answers.asked) < count:
                await asyncio.sleep(0.002)

    async def lines(self, file_id: str | None) -> list[dict[str, Any]]:
        if file_id is None:
            return []
        file = await self.files.open(file_id, self.call)
        return parsed(b"".join([piece async for piece in file.read(0, file.size)]))


@asynccontextmanager
async def batch_house(directory: Path, database: Database) -> AsyncIterator[BatchHouse]:
    async with opened("inline::localfs", directory / "files") as provider:
        limits = FilesConfig()
        files = FileService(FileTable(database), Contents({"files": provider}, BlobTable(database)), limits)
        yield BatchHouse(database, files, Spool(directory / "copies"), KeySealer([], directory / "key"))
