"""The rows of the server's store in memory: what providers that follow rows read, and what every test is held against.

One version per write, as `ls_vector_stores` counts them. Written chunks come in batches of three, so that whoever reads
them has to go on.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from llama_stack_api.filters import Filter, matches
from llama_stack_api.ports.vector_io import Attributes, ChunkRow, Index, IndexedChunk, RowChange, RowDelta

BATCH = 3


@dataclass
class _Store:
    version: int = 0
    forgotten: int = 0
    """Changes at or before it cannot be told any more."""
    rows: dict[str, ChunkRow] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    changes: list[RowChange] = field(default_factory=list)


class MemoryRows:
    """Satisfies `ChunkRows`. `reads` counts the calls of `since`; `batch` is the size of its batches."""

    def __init__(self, batch: int = BATCH) -> None:
        self._stores: dict[str, _Store] = {}
        self._numbers = itertools.count(1)
        self._batch = batch
        self.reads = 0

    # --- as the server writes

    def write(self, index: Index, chunks: Sequence[IndexedChunk]) -> int:
        store = self._stores.setdefault(index.id, _Store())
        store.version += 1
        for chunk in chunks:
            store.rows[chunk.id] = ChunkRow(
                next(self._numbers), chunk.id, chunk.document, chunk.vector, chunk.attributes, store.version
            )
            store.words[chunk.id] = chunk.words
        return store.version

    def delete_document(self, index: Index, document: str) -> int:
        return self._change(index, document, None)

    def set_attributes(self, index: Index, document: str, attributes: Attributes) -> int:
        return self._change(index, document, dict(attributes))

    def delete_store(self, index: Index) -> None:
        self._stores.pop(index.id, None)

    def forget_changes(self, index: Index) -> None:
        store = self._stores[index.id]
        store.forgotten = store.version
        store.changes.clear()

    def _change(self, index: Index, document: str, attributes: Attributes | None) -> int:
        store = self._stores.setdefault(index.id, _Store())
        store.version += 1
        store.changes.append(RowChange(store.version, document, attributes))
        for row in [row for row in store.rows.values() if row.document == document]:
            if attributes is None:
                del store.rows[row.id], store.words[row.id]
            else:
                store.rows[row.id] = replace(row, attributes=attributes)
        return store.version

    # --- as providers read

    async def since(self, index: Index, version: int) -> RowDelta:
        self.reads += 1
        store = self._stores.get(index.id, _Store())
        tellable = version == 0 or version >= store.forgotten
        changes = [change for change in store.changes if change.version > version] if tellable else None
        rows = [row for row in store.rows.values() if not tellable or row.version > version]
        return RowDelta(store.version, changes, self._in_batches(sorted(rows, key=lambda row: row.number)))

    async def _in_batches(self, rows: list[ChunkRow]) -> AsyncIterator[Sequence[ChunkRow]]:
        for start in range(0, len(rows), self._batch):
            yield rows[start : start + self._batch]

    # --- as tests look

    def version(self, index: Index) -> int:
        store = self._stores.get(index.id)
        return store.version if store else 0

    def rows(self, index: Index) -> Mapping[str, ChunkRow]:
        store = self._stores.get(index.id)
        return store.rows if store else {}

    def matching(self, index: Index, wanted: Filter | None = None) -> set[str]:
        return {row.id for row in self.rows(index).values() if wanted is None or matches(wanted, row.attributes)}

    def having(self, index: Index, words: Sequence[str], wanted: Filter | None = None) -> set[str]:
        """Chunks with at least one of `words`."""
        store = self._stores.get(index.id, _Store())
        return {id for id in self.matching(index, wanted) if not set(words).isdisjoint(store.words[id].split(" "))}
