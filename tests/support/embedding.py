"""An embedding model for tests: texts that share words have similar vectors. It counts, and fails when told to."""

from __future__ import annotations

import hashlib
import math
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from llama_stack.rag.tokens import count_tokens
from llama_stack.rag.words import words_of
from llama_stack_api.errors import ContextLengthExceeded, LlamaStackError
from llama_stack_api.principal import Call

DIMENSION = 32


class HashingEmbedder:
    """`rag.ports.EmbeddingPort`. `context` is what `context_length` says, `takes` what a text may really have.

    `failures` are raised by the next calls, one each; `before` is awaited by each call.
    """

    def __init__(self, *, context: int | None = None, takes: int | None = None, dimension: int = DIMENSION) -> None:
        self.asked: list[list[str]] = []
        self.calls: list[Call] = []
        self.failures: deque[LlamaStackError | None] = deque()
        self.before: Callable[[], Awaitable[None]] | None = None
        self._context = context
        self._takes = takes or context
        self._dimension = dimension

    @property
    def texts(self) -> list[str]:
        return [text for batch in self.asked for text in batch]

    async def embed(self, model: str, texts: Sequence[str], *, dimensions: int | None, call: Call) -> list[bytes]:
        assert dimensions in (None, self._dimension)
        self.calls.append(call)
        if self.before is not None:
            await self.before()
        if self.failures and (failure := self.failures.popleft()) is not None:
            raise failure
        if self._takes is not None and any(count_tokens(text) > self._takes for text in texts):
            raise ContextLengthExceeded("a text is too long", param="input")
        self.asked.append(list(texts))
        return [vector_of(text, self._dimension) for text in texts]

    def context_length(self, model: str) -> int | None:
        return self._context


def vector_of(text: str, dimension: int = DIMENSION) -> bytes:
    sums = [1e-3] * dimension
    for word in words_of(text):
        number = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
        sums[number % dimension] += 1.0 if number & (1 << 40) else -1.0
    length = math.hypot(*sums)
    return struct.pack(f"<{dimension}f", *(value / length for value in sums))
