"""Files to text and chunks, by the configured file processors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final
from uuid import NAMESPACE_OID, uuid4, uuid5

from pydantic import BaseModel

from llama_stack.rag.chunk import ChunkSizes, TextChunk, chunks_of
from llama_stack.rag.ports import FileContents
from llama_stack.rag.strategy import AUTO
from llama_stack.rag.tokens import count_tokens
from llama_stack.routing.opening import OpenProvider
from llama_stack_api.api import Api
from llama_stack_api.errors import InvalidRequest, LlamaStackError, NotImplementedByProvider, UnsupportedFile
from llama_stack_api.file_processors import ProcessFileRequest, ProcessFileResponse
from llama_stack_api.ports.file_processors import ParsedFile, ParsesFiles, SourceFile
from llama_stack_api.principal import Call
from llama_stack_api.vector_io import (
    Chunk,
    ChunkMetadata,
    VectorStoreChunkingStrategy,
    VectorStoreChunkingStrategyContextual,
    VectorStoreChunkingStrategyStatic,
)

NOT_SERVED: Final = (
    "This server reads no files: configure a provider under providers.file_processors, such as inline::auto."
)


@dataclass(frozen=True, slots=True)
class FileProcessor:
    """`config` is the provider's own; some say what `auto` chunks are."""

    id: str
    impl: ParsesFiles
    config: BaseModel

    @property
    def auto_sizes(self) -> ChunkSizes:
        size = getattr(self.config, "default_chunk_size_tokens", None)
        overlap = getattr(self.config, "default_chunk_overlap_tokens", None)
        return AUTO if size is None or overlap is None else ChunkSizes(max(2, size), overlap)


class FileProcessorService:
    """`rag.ports.Parser`. The first of `processors` reads a file; what is of a type that it does not read goes to the
    next."""

    def __init__(self, processors: Sequence[FileProcessor], files: FileContents) -> None:
        self._processors = processors
        self._files = files

    async def parse(self, source: SourceFile, call: Call) -> ParsedFile:
        parsed, _ = await self._read(source, {}, call)
        return parsed

    async def process(
        self, request: ProcessFileRequest, uploaded: SourceFile | None, call: Call
    ) -> ProcessFileResponse:
        """Of the file that came with the request, or of one of the caller's by its id."""
        if (uploaded is None) == (request.file_id is None):
            raise InvalidRequest("Give either a file or a file_id.", param="file", code="invalid_value")
        _check(request.chunking_strategy)
        started = time.perf_counter()
        async with AsyncExitStack() as exits:
            source = uploaded
            if source is None:
                assert request.file_id is not None
                copy = await self._files.open_local(call.principal, request.file_id)
                source = await exits.enter_async_context(copy)
            size = (await asyncio.to_thread(source.path.stat)).st_size
            parsed, processor = await self._read(source, request.options or {}, call)
        document = request.file_id or f"file-{uuid4().hex}"
        sizes = _sizes(request.chunking_strategy, processor)
        about = _Document(document, source.filename, int(time.time()))
        # In a thread, as a long text keeps a core busy for seconds.
        chunks = await asyncio.to_thread(lambda: list(about.chunks(parsed, sizes)))
        return ProcessFileResponse(
            chunks=chunks,
            metadata={
                **parsed.metadata,
                "processor": processor.id,
                "extraction_method": parsed.parser,
                "media_type": parsed.media_type,
                "file_size_bytes": size,
                "processing_time_ms": int((time.perf_counter() - started) * 1000),
            },
        )

    async def _read(
        self, source: SourceFile, options: Mapping[str, Any], call: Call
    ) -> tuple[ParsedFile, FileProcessor]:
        refusal: LlamaStackError = NotImplementedByProvider(NOT_SERVED)
        for processor in self._processors:
            try:
                return await processor.impl.parse_file(source, options, call), processor
            except UnsupportedFile as error:
                refusal = error
        raise refusal


@dataclass(frozen=True, slots=True)
class _Document:
    id: str
    filename: str
    created_at: int

    def chunks(self, parsed: ParsedFile, sizes: ChunkSizes | None) -> Iterator[Chunk]:
        pieces = chunks_of(parsed, sizes) if sizes is not None else _whole(parsed)
        for ordinal, piece in enumerate(pieces):
            chunk_id = str(uuid5(NAMESPACE_OID, f"{self.id}:{ordinal}"))
            metadata: dict[str, Any] = {"document_id": self.id, "filename": self.filename}
            if piece.page is not None:
                metadata["page"] = piece.page
            yield Chunk(
                content=piece.text,
                chunk_id=chunk_id,
                metadata=metadata,
                chunk_metadata=ChunkMetadata(
                    chunk_id=chunk_id,
                    document_id=self.id,
                    source=self.filename,
                    created_timestamp=self.created_at,
                    chunk_window=f"{piece.start}-{piece.end}",
                    content_token_count=piece.tokens,
                    page=piece.page,
                ),
            )


def _whole(parsed: ParsedFile) -> Iterator[TextChunk]:
    """What a request without a chunking strategy gets."""
    if parsed.text:
        yield TextChunk(parsed.text, 0, len(parsed.text), None, count_tokens(parsed.text))


def _check(strategy: VectorStoreChunkingStrategy | None) -> None:
    if isinstance(strategy, VectorStoreChunkingStrategyContextual):
        raise InvalidRequest(
            "Contextual chunks are made by a model when a file is attached to a vector store; here, 'auto' and "
            "'static' are possible.",
            param="chunking_strategy.type",
            code="invalid_value",
        )


def _sizes(strategy: VectorStoreChunkingStrategy | None, processor: FileProcessor) -> ChunkSizes | None:
    match strategy:
        case None:
            return None
        case VectorStoreChunkingStrategyStatic():
            asked = strategy.static
            return ChunkSizes(asked.max_chunk_size_tokens, asked.chunk_overlap_tokens)
        case _:
            return processor.auto_sizes


def processors_of(providers: Iterable[OpenProvider]) -> list[FileProcessor]:
    """Those among the open providers, in the order of the run config."""
    return [FileProcessor(each.id, each.impl, each.config) for each in providers if each.api == Api.file_processors]
