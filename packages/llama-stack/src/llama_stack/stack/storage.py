"""The databases of a run config, each opened once however many stores share it: a file has one writer."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from llama_stack.config.storage import (
    EitherReference,
    KVStoreReference,
    QueuedSqlStoreReference,
    SqlStoreReference,
    StorageBackend,
    StorageConfig,
    StoreReference,
)
from llama_stack.storage.kv.base import KVBackend
from llama_stack.storage.kv.open import open_kv
from llama_stack.storage.sql.database import Database
from llama_stack.storage.sql.open import open_sql
from llama_stack.telemetry.metrics import Metrics

WRITE_QUEUE_MAX = 10_000
"""Writes that may wait for a database where no store says otherwise."""


class Storage:
    """What is opened here is closed by `exits`."""

    def __init__(self, config: StorageConfig, metrics: Metrics, exits: AsyncExitStack) -> None:
        self.stores = config.stores
        self._config = config
        self._metrics = metrics
        self._exits = exits
        self._kv: dict[str, KVBackend] = {}
        self._sql: dict[str, Database] = {}

    def backend(self, reference: StoreReference) -> StorageBackend:
        return self._config.backends[reference.backend]

    async def kv(self, reference: StoreReference) -> KVBackend:
        name = reference.backend
        if name not in self._kv:
            config: Any = self.backend(reference)
            self._kv[name] = await open_kv(config)
            self._exits.push_async_callback(self._kv[name].close)
        return self._kv[name]

    async def sql(self, reference: SqlStoreReference) -> Database:
        name = reference.backend
        if name not in self._sql:
            config: Any = self.backend(reference)
            queued = (
                store
                for store in self.stores.references().values()
                if isinstance(store, QueuedSqlStoreReference) and store.backend == name
            )
            self._sql[name] = await open_sql(
                config,
                queue_max=max((store.max_write_queue_size for store in queued), default=WRITE_QUEUE_MAX),
                on_depth=lambda depth: self._metrics.storage_queue(name, depth),
            )
            self._exits.push_async_callback(self._sql[name].close)
        return self._sql[name]

    async def owned(self, reference: EitherReference) -> Database:
        """Whatever has owners lives in SQL: beside the responses, where a former config names a key-value store."""
        return await self.sql(self.stores.responses if isinstance(reference, KVStoreReference) else reference)
