"""A vector index for tests that survives the death of its process: a SQLite file, searched by looking at everything."""

from __future__ import annotations

import math
import sqlite3
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from llama_stack_api.errors import LlamaStackError, NotFound
from llama_stack_api.filters import matches
from llama_stack_api.ports.vector_io import Attributes, Hit, Index, IndexedChunk, VectorIndex, VectorQuery

PROVIDER = "kept"


class KeptIndex:
    """`failures` are raised by the next changes, one each; `before` is awaited by each upsert, `reached` told of each
    change, before and after."""

    def __init__(self, path: Path, reached: Callable[[], None] = lambda: None) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS chunks (place TEXT, id TEXT, document TEXT, vector BLOB, words TEXT,"
            " attributes TEXT, PRIMARY KEY (place, id))"
        )
        self._reached = reached
        self.failures: deque[LlamaStackError] = deque()
        self.before: Callable[[], Awaitable[None]] | None = None

    def close(self) -> None:
        self._db.close()

    async def create_index(self, index: Index) -> None:
        pass

    async def delete_index(self, index: Index) -> None:
        self._change("DELETE FROM chunks WHERE place = ?", [(index.id,)])

    async def upsert_chunks(self, index: Index, chunks: Sequence[IndexedChunk]) -> None:
        if self.before is not None:
            await self.before()
        rows = [
            (index.id, each.id, each.document, each.vector, each.words, msgspec.json.encode(each.attributes).decode())
            for each in chunks
        ]
        self._change("INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?, ?, ?)", rows)

    async def delete_document(self, index: Index, document: str) -> None:
        self._change("DELETE FROM chunks WHERE place = ? AND document = ?", [(index.id, document)])

    async def set_attributes(self, index: Index, document: str, attributes: Attributes) -> None:
        text = msgspec.json.encode(attributes).decode()
        self._change("UPDATE chunks SET attributes = ? WHERE place = ? AND document = ?", [(text, index.id, document)])

    async def search_vectors(self, index: Index, query: VectorQuery) -> list[Hit]:
        hits = [
            Hit(chunk_id, _cosine(query.vector, vector))
            for chunk_id, vector, attributes in self._db.execute(
                "SELECT id, vector, attributes FROM chunks WHERE place = ?", (index.id,)
            )
            if query.filter is None or matches(query.filter, msgspec.json.decode(attributes))
        ]
        return sorted(hits, key=lambda hit: (-hit.score, hit.id))[: query.limit]

    def ids(self, index_id: str, document: str | None = None) -> set[str]:
        query = "SELECT id FROM chunks WHERE place = ? AND (? IS NULL OR document = ?)"
        return {chunk_id for (chunk_id,) in self._db.execute(query, (index_id, document, document))}

    def attributes(self, index_id: str, document: str) -> list[dict[str, object]]:
        query = "SELECT attributes FROM chunks WHERE place = ? AND document = ?"
        return [msgspec.json.decode(text) for (text,) in self._db.execute(query, (index_id, document))]

    def _change(self, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
        if self.failures:
            raise self.failures.popleft()
        self._reached()
        self._db.execute("BEGIN")
        self._db.executemany(sql, rows)
        self._db.execute("COMMIT")
        self._reached()


class OneIndex:
    """`rag.ports.Indexes` of a server with a single provider."""

    def __init__(self, index: VectorIndex) -> None:
        self._index = index

    def index_of(self, provider_id: str) -> VectorIndex:
        if provider_id != PROVIDER:
            raise NotFound(f"There is no vector_io provider '{provider_id}'.")
        return self._index


def _cosine(one: bytes, other: bytes) -> float:
    a, b = (struct.unpack(f"<{len(each) // 4}f", each) for each in (one, other))
    dot: float = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / (math.hypot(*a) * math.hypot(*b) or 1.0)
