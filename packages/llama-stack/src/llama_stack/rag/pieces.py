"""The chunks of a document in batches, made beside the event loop: that of a large file has other requests to serve."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import Final

from llama_stack.rag.chunk import ChunkSizes, TextChunk, chunks_of
from llama_stack_api.ports.file_processors import ParsedFile

BATCH_CHUNKS_MAX: Final = 64


class Pieces:
    """`count` is the number of chunks so far; the first `skip` are counted and not given."""

    def __init__(self, parsed: ParsedFile, sizes: ChunkSizes, *, skip: int) -> None:
        self.count = 0
        self._chunks = chunks_of(parsed, sizes)
        self._skip = skip

    async def next(self) -> list[TextChunk]:
        """Empty after the last one."""
        return await asyncio.to_thread(self._next)

    def _next(self) -> list[TextChunk]:
        if self.count < self._skip:
            self.count = sum(1 for _ in islice(self._chunks, self._skip))
        batch = list(islice(self._chunks, BATCH_CHUNKS_MAX))
        self.count += len(batch)
        return batch
