"""What retrieval needs of the rest of the house; their implementations are handed in by `stack/`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from llama_stack_api.ports.file_processors import ParsedFile, SourceFile
from llama_stack_api.ports.vector_io import VectorIndex
from llama_stack_api.principal import Call, Principal


class EmbeddingPort(Protocol):
    async def embed(self, model: str, texts: Sequence[str], *, dimensions: int | None, call: Call) -> list[bytes]:
        """A vector of each text, in order: little-endian floats of 32 bits.

        Raises `ContextLengthExceeded` where a text is longer than the model takes."""
        ...

    def context_length(self, model: str) -> int | None:
        """Tokens of one text that the model takes; None if that is not known."""
        ...


class CompletionPort(Protocol):
    async def complete(self, model: str, prompt: str, *, max_tokens: int, temperature: float | None, call: Call) -> str:
        """What the model says to one user message."""
        ...


class RerankPort(Protocol):
    async def rerank(self, model: str, query: str, texts: Sequence[str], call: Call) -> list[float]:
        """How relevant each text is, in the order of the texts; the scale is the model's."""
        ...


class FileContents(Protocol):
    async def open_local(self, principal: Principal, file_id: str) -> AbstractAsyncContextManager[SourceFile]:
        """The file on the local disk, as long as the context is open. `NotFound` if it is not the principal's."""
        ...


class Parser(Protocol):
    async def parse(self, source: SourceFile, call: Call) -> ParsedFile:
        """Raises `UnsupportedFile` and `InvalidFile` as `ParsesFiles.parse_file` does."""
        ...


class InsertMetrics(Protocol):
    def inserted(self, provider: str, chunks: int, duration_s: float) -> None:
        """A batch of chunks is in the index and the rows. Called from the event loop: count and return."""
        ...


class Indexes(Protocol):
    def index_of(self, provider_id: str) -> VectorIndex:
        """`NotFound` if there is no such vector_io provider."""
        ...
