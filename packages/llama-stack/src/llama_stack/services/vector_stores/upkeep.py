"""What is done in the background: stores expire, and what is left of those that are gone is removed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from llama_stack.rag.ports import Indexes
from llama_stack.storage.sql.knowledge.batches import FileBatchTable
from llama_stack.storage.sql.knowledge.changes import StoreChanges
from llama_stack.storage.sql.knowledge.chunks import ChunkTable
from llama_stack.storage.sql.knowledge.records import StoreRecord
from llama_stack.storage.sql.knowledge.removal import REMOVED_AT_ONCE
from llama_stack.storage.sql.knowledge.stores import VectorStoreTable
from llama_stack.storage.sweeper import Sweeper
from llama_stack_api.errors import LlamaStackError
from llama_stack_api.ports.vector_io import Index

T = TypeVar("T")
log: Final = logging.getLogger(__name__)

STORES_AT_ONCE: Final = 20
"""Those of one round."""
BATCHES_KEPT_S: Final = 7 * 24 * 3600
CHANGES_KEPT_S: Final = 24 * 3600
"""An index that was not used for longer is built anew from the rows."""


class RemovalMetrics(Protocol):
    def store_removed(self) -> None: ...


class StoreUpkeep:
    """Several processes may do it at once: every step is the same when it is done twice."""

    def __init__(
        self,
        stores: VectorStoreTable,
        chunks: ChunkTable,
        batches: FileBatchTable,
        changes: StoreChanges,
        indexes: Indexes,
        metrics: RemovalMetrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._stores = stores
        self._chunks = chunks
        self._indexes = indexes
        self._metrics = metrics
        self._removal = Sweeper("removed vector stores", self._remove, rows_max=STORES_AT_ONCE, soon=True)
        self._sweepers = (
            self._removal,
            Sweeper("expired vector stores", self._expire),
            Sweeper("removed chunks", self._remove_chunks, rows_max=REMOVED_AT_ONCE, soon=True),
            Sweeper("file batches", lambda rows: batches.forget(clock() - BATCHES_KEPT_S, rows)),
            Sweeper("changes of vector stores", lambda rows: changes.forget(clock() - CHANGES_KEPT_S, rows)),
        )

    def open(self) -> None:
        for sweeper in self._sweepers:
            sweeper.start()

    async def close(self) -> None:
        for sweeper in self._sweepers:
            await sweeper.stop()

    def removed(self) -> None:
        """A store is gone: take down what is left of it soon."""
        self._removal.wake()

    async def _expire(self, rows_max: int) -> int:
        expired = await self._stores.expire_due(rows_max)
        if expired:
            self.removed()
        return expired

    async def _remove(self, stores_max: int) -> int:
        """How many are gone for good; one whose provider cannot be told stays for the next round."""
        done = 0
        for store in await self._stores.removable(stores_max):
            try:
                await self._take_down(store)
                done += 1
            except LlamaStackError as error:
                log.warning("the vector store %s cannot be removed yet: %s", store.id, error)
        return done

    async def _take_down(self, store: StoreRecord) -> None:
        await self._indexes.index_of(store.provider).delete_index(Index(store.index_id, store.embedding_dimension))
        while not await _half_the_time(self._stores.remove_slice(store.id)):
            pass
        self._metrics.store_removed()

    async def _remove_chunks(self, rows_max: int) -> int:
        return await _half_the_time(self._chunks.sweep(rows_max))


async def _half_the_time(work: Awaitable[T]) -> T:
    """The other half is for others: while a slice goes, nobody else writes to SQLite."""
    began = time.monotonic()
    done = await work
    await asyncio.sleep(time.monotonic() - began)
    return done
