"""What is done in the background: stores expire, and what is left of those that are gone is removed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, Protocol

from llama_stack.rag.ports import Indexes
from llama_stack.storage.sql.knowledge.batches import FileBatchTable
from llama_stack.storage.sql.knowledge.changes import StoreChanges
from llama_stack.storage.sql.knowledge.records import StoreRecord
from llama_stack.storage.sql.knowledge.stores import VectorStoreTable
from llama_stack.storage.sweeper import Sweeper
from llama_stack_api.errors import LlamaStackError
from llama_stack_api.ports.vector_io import Index

log: Final = logging.getLogger(__name__)

REMOVED_AT_ONCE: Final = 20
"""Stores of one round."""
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
        batches: FileBatchTable,
        changes: StoreChanges,
        indexes: Indexes,
        metrics: RemovalMetrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._stores = stores
        self._indexes = indexes
        self._metrics = metrics
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._sweepers = (
            Sweeper("expired vector stores", self._expire),
            Sweeper("removed vector stores", self._remove, rows_max=REMOVED_AT_ONCE, soon=True),
            Sweeper("file batches", lambda rows: batches.forget(clock() - BATCHES_KEPT_S, rows)),
            Sweeper("changes of vector stores", lambda rows: changes.forget(clock() - CHANGES_KEPT_S, rows)),
        )

    def open(self) -> None:
        for sweeper in self._sweepers:
            sweeper.start()
        self._task = asyncio.create_task(self._remove_when_told(), name="removal of vector stores")

    async def close(self) -> None:
        for sweeper in self._sweepers:
            await sweeper.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def removed(self) -> None:
        """A store is gone: take down what is left of it soon."""
        self._wanted.set()

    async def _remove_when_told(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                while await self._remove(REMOVED_AT_ONCE) == REMOVED_AT_ONCE:
                    pass
            except Exception as error:  # noqa: BLE001 — the task's boundary; the sweeper tries again
                log.warning("removal of vector stores failed: %s", error)

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
        while True:
            if await self._stores.remove_slice(store.id):
                break
        self._metrics.store_removed()
