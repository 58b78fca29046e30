"""The composition root: a run config becomes a running stack. Only this file builds things.

    async with Stack.open(config, environ=os.environ, state_dir=…) as stack:
        app = create_app(stack.services, config.server)

What serves requests is in `Stack.services`; what did not open is in `Stack.problems`, and the rest serves without it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from llama_stack.config.model import RunConfig
from llama_stack.config.server import ServerConfig
from llama_stack.config.storage import KVSqliteBackend, QueuedSqlStoreReference, StorageBackend, StoreReference
from llama_stack.net.client import NetClient
from llama_stack.net.config import NetworkConfig
from llama_stack.routing.attempts import Attempts, RetryPolicy
from llama_stack.routing.breaker import BreakerPolicy
from llama_stack.routing.catalog import Catalog
from llama_stack.routing.discovery import Discovery, DiscoveryPolicy
from llama_stack.routing.models import ModelTable, inference_provider
from llama_stack.routing.opening import OpenProvider, ProviderOpener, ProviderProblem
from llama_stack.routing.shared_breakers import SharedBreakers
from llama_stack.security.authentication import Authenticator, authenticator_for
from llama_stack.services.admin import AdminService
from llama_stack.services.completions import StoredCompletions
from llama_stack.services.inference import InferenceRouter
from llama_stack.services.models import ModelService
from llama_stack.services.routing_events import RoutingEvents
from llama_stack.storage.kv.base import KVBackend
from llama_stack.storage.kv.open import open_kv
from llama_stack.storage.sql.completions import CompletionStore
from llama_stack.storage.sql.database import Database
from llama_stack.storage.sql.open import open_sql
from llama_stack.telemetry.metrics import Metrics
from llama_stack_api.api import Api
from llama_stack_api.ports.http import HttpClient

SYSTEM_TENANT = "system"


@dataclass(frozen=True, slots=True)
class Services:
    """What the HTTP layer calls."""

    inference: InferenceRouter
    models: ModelService
    stored: StoredCompletions
    admin: AdminService
    authenticator: Authenticator
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class Stack:
    config: RunConfig
    services: Services
    providers: Sequence[OpenProvider]
    problems: list[ProviderProblem]

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        config: RunConfig,
        *,
        state_dir: Path,
        metrics: Metrics | None = None,
        catalog: Catalog | None = None,
    ) -> AsyncIterator[Stack]:
        """Open storage and providers, start discovery; close all of it in reverse.

        Waits for no provider: what needs the network goes on in the background. Raises `LlamaStackError` where storage
        cannot be opened and `RoutingConfigError` where the registered models do not fit the providers.
        """
        async with AsyncExitStack() as exits:
            yield await _Builder(config, state_dir, metrics or Metrics(), catalog or Catalog(), exits).build()


class _Builder:
    """The order in which things are opened; each pushes its closing on `exits`."""

    def __init__(
        self, config: RunConfig, state_dir: Path, metrics: Metrics, catalog: Catalog, exits: AsyncExitStack
    ) -> None:
        self._config = config
        self._state_dir = state_dir
        self._metrics = metrics
        self._catalog = catalog
        self._exits = exits
        self._events = RoutingEvents(metrics)
        self._kv: dict[str, KVBackend] = {}

    async def build(self) -> Stack:
        stores = self._config.storage.stores
        metadata = await self._kv_backend(stores.metadata)
        database = await self._database(stores.inference)
        opener = await self._open_providers(metadata)
        table, discovery = await self._models(opener, metadata)
        stored = StoredCompletions(await self._completions(database))
        router = InferenceRouter(
            table=table, attempts=await self._attempts(discovery), metrics=self._metrics, recorder=stored
        )
        services = Services(
            inference=router,
            models=ModelService(table),
            stored=stored,
            admin=AdminService(self._config, opener, discovery),
            authenticator=authenticator_for(self._config.server.auth),
            metrics=self._metrics,
        )
        return Stack(self._config, services, list(opener.opened.values()), opener.problems)

    async def _open_providers(self, metadata: KVBackend) -> ProviderOpener:
        opener = ProviderOpener(
            self._catalog,
            state_dir=self._state_dir / "providers",
            http=_http_client,
            kv=lambda api, provider_id: metadata.bind(SYSTEM_TENANT, f"provider:{api}:{provider_id}"),
        )
        self._exits.push_async_callback(opener.close)
        for api, entry in self._config.provider_entries():
            await opener.open(api, entry, {})
        return opener

    async def _models(self, opener: ProviderOpener, metadata: KVBackend) -> tuple[ModelTable, Discovery]:
        providers = [
            inference_provider(
                opened.id, opened.impl, config=opened.config, data_keys=tuple(opened.descriptor.data_keys)
            )
            for opened in opener.opened.values()
            if opened.api == Api.inference
        ]
        server = self._config.server
        discovery = Discovery(
            providers,
            metadata.bind(SYSTEM_TENANT, self._config.storage.stores.metadata.namespace),
            policy=DiscoveryPolicy(
                list_timeout_s=server.routing.discovery_timeout_s,
                refresh_interval_s=server.registry_refresh_interval_seconds,
            ),
            observer=self._events,
        )
        table = ModelTable(
            self._config.registered_resources.models,
            providers,
            discovery,
            absent=[
                entry.provider_id
                for api, entry in self._config.provider_entries()
                if api == Api.inference and (api, entry.provider_id) not in opener.opened
            ],
            created_unix_s=int(time.time()),
            first_discovery_wait_s=server.routing.discovery_wait_s,
            observer=self._events,
        )
        self._metrics.knows_model = lambda model: table.lookup(model) is not None
        await discovery.start()
        self._exits.push_async_callback(discovery.close)
        return table, discovery

    async def _attempts(self, discovery: Discovery) -> Attempts:
        attempts = _attempts_for(self._config.server, self._events)
        attempts.listeners.append(discovery.breaker_moved)
        reference = self._config.storage.stores.shared
        # A SQLite file has one serving process: nobody to share with.
        if not isinstance(self._backend(reference), KVSqliteBackend):
            kv = (await self._kv_backend(reference)).bind(SYSTEM_TENANT, reference.namespace)
            shared = SharedBreakers(attempts, kv, observer=self._events)
            task = asyncio.create_task(shared.run(), name="shared breakers")
            self._exits.push_async_callback(_cancelled, task)
        return attempts

    async def _completions(self, database: Database) -> CompletionStore:
        store = CompletionStore(database, max_age_s=self._config.storage.stores.inference.max_age_seconds)
        await store.open()
        self._exits.push_async_callback(store.close)
        return store

    async def _kv_backend(self, reference: StoreReference) -> KVBackend:
        """The backend of a store, opened once however many stores share it."""
        name = reference.backend
        if name not in self._kv:
            config: Any = self._backend(reference)
            self._kv[name] = await open_kv(config)
            self._exits.push_async_callback(self._kv[name].close)
        return self._kv[name]

    async def _database(self, reference: QueuedSqlStoreReference) -> Database:
        config: Any = self._backend(reference)
        name = reference.backend
        database = await open_sql(
            config,
            queue_max=reference.max_write_queue_size,
            on_depth=lambda depth: self._metrics.storage_queue(name, depth),
        )
        self._exits.push_async_callback(database.close)
        return database

    def _backend(self, reference: StoreReference) -> StorageBackend:
        return self._config.storage.backends[reference.backend]


def _http_client(provider_id: str, network: BaseModel | None) -> HttpClient:
    if network is not None and not isinstance(network, NetworkConfig):
        network = NetworkConfig.model_validate(network.model_dump())  # of a package that has only llama-stack-api
    return NetClient(network, name=provider_id)


def _attempts_for(server: ServerConfig, events: RoutingEvents) -> Attempts:
    routing = server.routing
    return Attempts(
        retry=RetryPolicy(
            attempts_per_target_max=routing.retries_max + 1,
            backoff_s=routing.retry_delay_s,
            backoff_max_s=routing.retry_delay_max_s,
            retry_after_max_s=routing.retry_delay_max_s,
        ),
        breaker=BreakerPolicy(failures_max=routing.breaker.failures, cool_down_s=routing.breaker.open_s),
        observer=events,
    )


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
