"""Which models there are, who serves them, and how often whom to try."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

from llama_stack.config.model import RunConfig
from llama_stack.config.server import ServerConfig
from llama_stack.config.storage import KVSqliteBackend
from llama_stack.routing.attempts import Attempts, RetryPolicy
from llama_stack.routing.breaker import BreakerPolicy
from llama_stack.routing.discovery import Discovery, DiscoveryPolicy
from llama_stack.routing.models import ModelTable, inference_provider
from llama_stack.routing.opening import ProviderOpener
from llama_stack.routing.shared_breakers import SharedBreakers
from llama_stack.services.routing_events import RoutingEvents
from llama_stack.stack.storage import Storage
from llama_stack.telemetry.metrics import Metrics
from llama_stack_api.api import Api
from llama_stack_api.ports.kv import KV

SYSTEM_TENANT = "system"


async def open_models(
    config: RunConfig, opener: ProviderOpener, metadata: KV, metrics: Metrics, exits: AsyncExitStack
) -> tuple[ModelTable, Discovery]:
    """The table of models, and the discovery that fills it in the background."""
    events = RoutingEvents(metrics)
    server = config.server
    providers = [
        inference_provider(opened.id, opened.impl, config=opened.config, data_keys=tuple(opened.descriptor.data_keys))
        for opened in opener.opened.values()
        if opened.api == Api.inference
    ]
    policy = DiscoveryPolicy(
        list_timeout_s=server.routing.discovery_timeout_s,
        refresh_interval_s=server.registry_refresh_interval_seconds,
    )
    discovery = Discovery(providers, metadata, policy=policy, observer=events)
    table = ModelTable(
        config.registered_resources.models,
        providers,
        discovery,
        absent=[
            entry.provider_id
            for api, entry in config.provider_entries()
            if api == Api.inference and (api, entry.provider_id) not in opener.opened
        ],
        created_unix_s=int(time.time()),
        first_discovery_wait_s=server.routing.discovery_wait_s,
        observer=events,
    )
    metrics.knows_model = lambda model: table.lookup(model) is not None
    await discovery.start()
    exits.push_async_callback(discovery.close)
    return table, discovery


async def open_attempts(
    server: ServerConfig, storage: Storage, discovery: Discovery, metrics: Metrics, exits: AsyncExitStack
) -> Attempts:
    events = RoutingEvents(metrics)
    attempts = _attempts_for(server, events)
    attempts.listeners.append(discovery.breaker_moved)
    reference = storage.stores.shared
    # A SQLite file has one serving process: nobody to share with.
    if not isinstance(storage.backend(reference), KVSqliteBackend):
        kv = (await storage.kv(reference)).bind(SYSTEM_TENANT, reference.namespace)
        shared = SharedBreakers(attempts, kv, observer=events)
        task = asyncio.create_task(shared.run(), name="shared breakers")
        exits.push_async_callback(_cancelled, task)
    return attempts


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
