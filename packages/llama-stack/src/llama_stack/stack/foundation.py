"""What everything else stands on: databases, the ways out, the key of secrets, and the providers."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from llama_stack.config.model import RunConfig
from llama_stack.mcp.client import McpClients
from llama_stack.net.client import NetClient
from llama_stack.net.config import NetworkConfig
from llama_stack.net.egress import Egress, EgressPolicy
from llama_stack.routing.catalog import Catalog
from llama_stack.routing.opening import ProviderOpener
from llama_stack.security.sealing import KeySealer, sealer_for
from llama_stack.stack.dependencies import Dependencies
from llama_stack.stack.models import SYSTEM_TENANT
from llama_stack.stack.storage import Storage
from llama_stack.storage.kv.base import KVBackend
from llama_stack.storage.sql.database import Database
from llama_stack.telemetry.metrics import Metrics
from llama_stack_api.api import Api
from llama_stack_api.ports.http import HttpClient


@dataclass(frozen=True, slots=True)
class Foundation:
    """`database` is that of the responses: what refers to them, or they to it, lies beside them. `opener` has all
    providers but those of safety, which are opened over inference. Whatever is opened pushes its closing on `exits`."""

    config: RunConfig
    state_dir: Path
    metrics: Metrics
    exits: AsyncExitStack
    storage: Storage
    metadata: KVBackend
    database: Database
    egress: Egress
    mcp: McpClients
    sealer: KeySealer
    opener: ProviderOpener
    catalog: Catalog
    dependencies: Dependencies


async def open_foundation(
    config: RunConfig, state_dir: Path, metrics: Metrics, catalog: Catalog, exits: AsyncExitStack
) -> Foundation:
    storage = Storage(config.storage, metrics, exits)
    metadata = await storage.kv(config.storage.stores.metadata)
    database = await storage.sql(config.storage.stores.responses)
    sealer = sealer_for(config.server.secrets, state_dir)
    egress = Egress(EgressPolicy(**config.server.egress.model_dump()))
    exits.push_async_callback(egress.aclose)
    mcp = McpClients(egress)
    exits.push_async_callback(mcp.close)
    opener = ProviderOpener(
        catalog,
        state_dir=state_dir / "providers",
        http=_http_client,
        kv=lambda api, provider_id: metadata.bind(SYSTEM_TENANT, f"provider:{api}:{provider_id}"),
    )
    exits.push_async_callback(opener.close)
    dependencies = Dependencies(config, catalog, mcp)
    for api, entry in config.provider_entries():
        if api != Api.safety:
            await opener.open(api, entry, dependencies.handed)
    return Foundation(
        config=config,
        state_dir=state_dir,
        metrics=metrics,
        exits=exits,
        storage=storage,
        metadata=metadata,
        database=database,
        egress=egress,
        mcp=mcp,
        sealer=sealer,
        opener=opener,
        catalog=catalog,
        dependencies=dependencies,
    )


def _http_client(provider_id: str, network: BaseModel | None) -> HttpClient:
    if network is not None and not isinstance(network, NetworkConfig):
        network = NetworkConfig.model_validate(network.model_dump())  # of a package that has only llama-stack-api
    return NetClient(network, name=provider_id)
