"""Embeddings of texts: in bounded batches, each text once, whatever the model's context."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

import msgspec

from llama_stack.rag.chunk import ChunkSizes, chunks_of
from llama_stack.rag.ports import EmbeddingPort
from llama_stack.rag.retry import Patience, retried
from llama_stack.rag.tokens import count_tokens
from llama_stack.rag.vectors import mean
from llama_stack_api.errors import ContextLengthExceeded
from llama_stack_api.ports.file_processors import ParsedFile
from llama_stack_api.principal import Call

BATCH_TEXTS_MAX: Final = 64
BATCH_CHARACTERS_MAX: Final = 100_000
RECENT_MAX: Final = 512
"""Embeddings that are remembered until they are stored: those of files that are ingested at once."""
WINDOW_TOKENS: Final = 512
"""Where the model's context is not known and it finds a text too long."""
WINDOW_TOKENS_MIN: Final = 16


class KnownEmbeddings(Protocol):
    async def known_embeddings(self, digests: Collection[str]) -> Mapping[str, bytes]: ...


@dataclass(frozen=True, slots=True)
class Space:
    """Within which the same text has the same embedding."""

    tenant: str
    model: str
    dimension: int

    def digest(self, text: str) -> str:
        named = msgspec.json.encode([self.tenant, self.model, self.dimension])
        return hashlib.sha256(named + b"\n" + text.encode(errors="surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Embedded:
    """`vector` is little-endian floats of 32 bits."""

    digest: str
    vector: bytes


class Embedder:
    """`known` are embeddings that were stored with their digest: what is there is not asked for again, nor is what
    somebody asks for at the moment."""

    def __init__(self, port: EmbeddingPort, known: KnownEmbeddings, *, patience: Patience | None = None) -> None:
        self._port = port
        self._known = known
        self._patience = patience or Patience()
        self._asked: dict[str, asyncio.Future[bytes | None]] = {}
        self._recent: dict[str, bytes] = {}

    async def embed(self, space: Space, texts: Sequence[str], call: Call) -> list[Embedded]:
        """Of each text, in order. A text longer than the model's context is embedded in windows, whose mean counts."""
        wanted = {space.digest(text): text for text in texts}
        vectors = dict(await self._known.known_embeddings(wanted.keys()))
        vectors |= {digest: self._recent[digest] for digest in wanted.keys() - vectors if digest in self._recent}
        while missing := {digest: text for digest, text in wanted.items() if digest not in vectors}:
            theirs = [(digest, self._asked[digest]) for digest in missing if digest in self._asked]
            vectors |= await self._fresh(space, {each: missing[each] for each in missing.keys() - dict(theirs)}, call)
            # What failed there is asked for here.
            vectors |= {digest: vector for digest, asked in theirs if (vector := await asyncio.shield(asked))}
        return [Embedded(digest, vectors[digest]) for digest in map(space.digest, texts)]

    async def _fresh(self, space: Space, texts: Mapping[str, str], call: Call) -> dict[str, bytes]:
        """By digest; others who want the same meanwhile wait for it."""
        vectors: dict[str, bytes] = {}
        asked = {digest: asyncio.get_running_loop().create_future() for digest in texts}
        self._asked |= asked
        try:
            for batch in _batches(list(texts.items())):
                digests = [digest for digest, _ in batch]
                found = await self._batch(space, [text for _, text in batch], call)
                vectors |= zip(digests, found, strict=True)
            self._remember(vectors)
        finally:
            for digest, future in asked.items():
                del self._asked[digest]
                future.set_result(vectors.get(digest))
        return vectors

    def _remember(self, vectors: Mapping[str, bytes]) -> None:
        self._recent |= vectors
        for digest in list(islice(self._recent, max(0, len(self._recent) - RECENT_MAX))):
            del self._recent[digest]

    async def _batch(self, space: Space, texts: Sequence[str], call: Call) -> list[bytes]:
        limit = self._port.context_length(space.model)
        if limit is None or await asyncio.to_thread(_all_fit, texts, limit):
            try:
                return await self._ask(space, texts, call)
            except ContextLengthExceeded:  # the count is an estimate
                pass
        if len(texts) > 1:
            return [vector for text in texts for vector in await self._batch(space, [text], call)]
        return [await self._in_windows(space, texts[0], (limit or 2 * WINDOW_TOKENS) // 2, call)]

    async def _in_windows(self, space: Space, text: str, size: int, call: Call) -> bytes:
        size = max(size, WINDOW_TOKENS_MIN)
        windows = list(chunks_of(ParsedFile(text, "text/plain", ""), ChunkSizes(size, 0)))
        try:
            vectors = [
                vector
                for batch in _batches([("", window.text) for window in windows])
                for vector in await self._ask(space, [text for _, text in batch], call)
            ]
        except ContextLengthExceeded:
            if size == WINDOW_TOKENS_MIN:
                raise
            return await self._in_windows(space, text, size // 2, call)
        return mean(vectors, [window.tokens for window in windows])

    async def _ask(self, space: Space, texts: Sequence[str], call: Call) -> list[bytes]:
        return await retried(
            lambda: self._port.embed(space.model, texts, dimensions=space.dimension, call=call),
            self._patience,
            call.deadline,
        )


def _batches(texts: Sequence[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Of texts with their digests."""
    batch: list[tuple[str, str]] = []
    size = 0
    for digest, text in texts:
        if batch and (len(batch) == BATCH_TEXTS_MAX or size + len(text) > BATCH_CHARACTERS_MAX):
            yield batch
            batch, size = [], 0
        batch.append((digest, text))
        size += len(text)
    if batch:
        yield batch


def _all_fit(texts: Sequence[str], limit: int) -> bool:
    return all(count_tokens(text) <= limit for text in texts)
