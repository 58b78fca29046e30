"""File processors: a file to chunks of text."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from llama_stack_api.base import JsonObject, WireModel
from llama_stack_api.vector_io import Chunk, VectorStoreChunkingStrategy


class ProcessFileRequest(WireModel):
    """An uploaded file by its id; none where the file comes with the request. `options` are the provider's own."""

    file_id: str | None = None
    options: JsonObject | None = None
    chunking_strategy: VectorStoreChunkingStrategy | None = None


class ProcessFileResponse(WireModel):
    chunks: list[Chunk]
    metadata: JsonObject


@runtime_checkable
class FileProcessors(Protocol):
    """`file` has `filename` and an async `read()`."""

    async def process_file(self, request: ProcessFileRequest, file: Any = None) -> ProcessFileResponse: ...
