"""The ingestion of one file as a kind of runs: parse, chunk, then batch by batch embed, index, commit.

What is done is in the rows, not in the journal: a run that comes after a crash parses and chunks again, which gives the
same, and goes on behind the chunks that are there. Their ids are made of the attachment and their place in the
document, so whatever was indexed and not committed is indexed again under the same ids.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from llama_stack.rag.changes import carry_out
from llama_stack.rag.chunk import TextChunk
from llama_stack.rag.contextual import ContextSettings, ContextWriter
from llama_stack.rag.embed import Embedder, Space
from llama_stack.rag.indexing import Gone, Indexing, Piece, embedded_text
from llama_stack.rag.job import KIND, Job
from llama_stack.rag.pieces import Pieces
from llama_stack.rag.ports import FileContents, Indexes, InsertMetrics, Parser
from llama_stack.rag.retry import Patience, is_outage, retried
from llama_stack.rag.strategy import sizes_of
from llama_stack.runs.handle import Ending, RunHandle
from llama_stack.runs.model import Closing, Outcome, RunError, RunStatus
from llama_stack.runs.secrets import Sealer, Secrets, call_of, open_secrets, with_attributes
from llama_stack.storage.sql.knowledge.changes import StoreChanges
from llama_stack.storage.sql.knowledge.chunks import ChunkTable
from llama_stack.storage.sql.knowledge.files import AttachedFileTable
from llama_stack.storage.sql.knowledge.records import AttachedFile, Attachment, StoreRecord
from llama_stack.storage.sql.knowledge.stores import VectorStoreTable
from llama_stack_api.errors import (
    InvalidFile,
    LlamaStackError,
    NotFound,
    ProviderRejectedCredentials,
    RateLimited,
    UnsupportedFile,
)
from llama_stack_api.ports.file_processors import ParsedFile
from llama_stack_api.ports.vector_io import Index
from llama_stack_api.principal import Call, Principal

_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Tables:
    stores: VectorStoreTable
    files: AttachedFileTable
    chunks: ChunkTable
    changes: StoreChanges


@dataclass(frozen=True, slots=True)
class _Document:
    """A file that is being ingested here."""

    parsed: ParsedFile
    space: Space
    contexts: ContextSettings | None


class IngestionKind:
    """`patience`: with the provider of an index, and with the database."""

    name = KIND

    def __init__(
        self,
        *,
        tables: Tables,
        contents: FileContents,
        parser: Parser,
        embedder: Embedder,
        contexts: ContextWriter,
        indexes: Indexes,
        sealer: Sealer | None = None,
        patience: Patience | None = None,
        metrics: InsertMetrics | None = None,
    ) -> None:
        self._tables = tables
        self._contents = contents
        self._parser = parser
        self._embedder = embedder
        self._contexts = contexts
        self._indexes = indexes
        self._sealer = sealer
        self._patience = patience or Patience()
        self._metrics = metrics

    async def execute(self, run: RunHandle) -> Outcome:
        """A file that fails says so itself; so does its run, for whoever counts them."""
        job = msgspec.json.decode(run.payload, type=Job)
        try:
            call = self._call(run, job)
            await retried(lambda: self._ingest(job, call), self._patience, run.deadline, is_outage)
        except Gone:
            await self._settle(job)
            if run.run.attempts > 1:
                await retried(lambda: self._take_back(job, run.principal), self._patience, run.deadline)
        except LlamaStackError as error:
            failure = _failure(error, job)
            await retried(lambda: self._fail(job, failure), self._patience, run.deadline, is_outage)
            return Outcome(RunStatus.FAILED, error=failure)
        return Outcome()

    async def close(self, ending: Ending) -> Closing:
        """Out of time or attempts, broken by an error of ours, or cancelled by an operator."""
        error = ending.outcome.error
        message = error.message if error is not None else "The ingestion was cancelled."
        await self._fail(msgspec.json.decode(ending.payload, type=Job), RunError("server_error", message))
        return Closing()

    def _call(self, run: RunHandle, job: Job) -> Call:
        secrets = open_secrets(self._sealer, run.secrets, run.run.id, Secrets)
        principal = with_attributes(run.principal, job.attributes)
        return call_of(principal, secrets, request_id=job.request_id, deadline=run.deadline)

    async def _ingest(self, job: Job, call: Call) -> None:
        store, file = await self._wanted(job, call.principal)
        index = self._indexes.index_of(store.provider)
        # A deletion that is told after the first of our chunks takes them along.
        await retried(lambda: self._tell(job), self._patience, call.deadline)
        contexts = ContextSettings.of(file.chunking)
        parsed = await self._parsed(file, call)
        document = _Document(parsed, Space(store.tenant, store.embedding_model, store.embedding_dimension), contexts)
        pieces = Pieces(parsed, sizes_of(file.chunking), skip=file.chunks_done)
        indexing = Indexing(self._tables.files, self._tables.chunks, index, store, file, self._patience, self._metrics)
        await self._carry_on(document, pieces, indexing, call)
        if pieces.count == 0:
            raise InvalidFile(f"No text was found in '{file.filename}'.")
        await self._tables.files.complete(store.id, indexing.attachment)

    async def _wanted(self, job: Job, principal: Principal) -> tuple[StoreRecord, AttachedFile]:
        try:
            store = await self._tables.stores.get(principal, job.store)
        except NotFound:
            raise Gone from None
        file = await self._tables.files.current(store.id, Attachment(job.file, job.attachment))
        if store.state != "live" or file is None or file.status != "in_progress":
            raise Gone
        return store, file

    async def _parsed(self, file: AttachedFile, call: Call) -> ParsedFile:
        try:
            opened = await self._contents.open_local(call.principal, file.file)
        except NotFound as error:
            raise InvalidFile(error.message) from None
        async with opened as source:
            parsed = await self._parser.parse(source, call)
        return replace(parsed, text=await asyncio.to_thread(_storable, parsed.text))

    async def _carry_on(self, document: _Document, pieces: Pieces, indexing: Indexing, call: Call) -> None:
        """While a batch is written, the next one is embedded; no more than these two are held."""
        writing: asyncio.Task[None] | None = None
        try:
            while batch := await pieces.next():
                embedded = await self._embedded(document, batch, pieces.count - len(batch), call)
                if writing is not None:
                    await writing
                writing = asyncio.create_task(indexing.write(embedded, call), name="writing of chunks")
            if writing is not None:
                await writing
        finally:
            if writing is not None and not writing.done():
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)

    async def _embedded(self, document: _Document, batch: Sequence[TextChunk], first: int, call: Call) -> list[Piece]:
        contexts: Sequence[str | None] = [None] * len(batch)
        if document.contexts is not None:
            told = await self._contexts.contexts(document.parsed.text, batch, document.contexts, call)
            contexts = [_storable(context) or None for context in told]
        texts = [embedded_text(chunk.text, context) for chunk, context in zip(batch, contexts, strict=True)]
        vectors = await self._embedder.embed(document.space, texts, call)
        return [Piece(first + at, *each) for at, each in enumerate(zip(batch, contexts, vectors, strict=True))]

    async def _fail(self, job: Job, failure: RunError) -> None:
        """Its chunks go with it."""
        attachment = Attachment(job.file, job.attachment)
        if await self._tables.files.fail(job.store, attachment, failure.code, failure.message):
            await self._settle(job)

    async def _settle(self, job: Job) -> None:
        """Have the provider forget the chunks of a file that has failed or was cancelled, now or before a crash. Of one
        that was detached, or attached anew, they are no concern of this run."""
        with suppress(LlamaStackError):  # then the sweeper tells it
            if await self._tables.files.current(job.store, Attachment(job.file, job.attachment)) is not None:
                await self._tell(job)

    async def _take_back(self, job: Job, principal: Principal) -> None:
        """What an attempt that crashed had indexed after its provider was told that the file is gone or cancelled.
        Where the file is attached anew its new chunks go by the same name; then they all stay."""
        try:
            store = await self._tables.stores.get(principal, job.store)
        except NotFound:
            return
        try:
            attached = await self._tables.files.get(principal, job.store, job.file)
        except NotFound:
            attached = None
        if attached is None or (attached.attachment == job.attachment and attached.status in ("cancelled", "failed")):
            index = Index(store.index_id, store.embedding_dimension)
            await self._indexes.index_of(store.provider).delete_document(index, job.file)

    async def _tell(self, job: Job) -> None:
        changes = await self._tables.changes.pending_of(job.store, job.file)
        await carry_out(changes, self._indexes, self._tables.changes)


def _failure(error: LlamaStackError, job: Job) -> RunError:
    """As the file shows it: the contract has four codes."""
    message = error.message
    if isinstance(error, ProviderRejectedCredentials) and job.left_over:
        message += " What came with the request was lost when the server ended early: attach the file again."
    match error:
        case UnsupportedFile():
            code = "unsupported_file"
        case InvalidFile():
            code = "invalid_file"
        case RateLimited():
            code = "rate_limit_exceeded"
        case _:
            code = "server_error"
            logging.getLogger(__name__).warning("file %s of %s failed: %s", job.file, job.store, message)
    return RunError(code, message, error.status)


def _storable(text: str) -> str:
    """Without what neither JSON nor PostgreSQL takes; as long as before, so that spans stay true."""
    return _UNSTORABLE.sub("\ufffd", text) if _UNSTORABLE.search(text) else text
