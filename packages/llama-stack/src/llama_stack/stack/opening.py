"""A stack, opened: storage, then providers, then what is made of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from llama_stack.config.model import RunConfig
from llama_stack.mcp.client import McpClients
from llama_stack.net.client import NetClient
from llama_stack.net.config import NetworkConfig
from llama_stack.net.egress import Egress, EgressPolicy
from llama_stack.rag.job import KIND as INGESTION
from llama_stack.routing.catalog import Catalog
from llama_stack.routing.opening import OpenProvider, ProviderOpener, ProviderProblem
from llama_stack.routing.tool_groups import registered_tool_groups, tool_groups
from llama_stack.security.authentication import authenticator_for
from llama_stack.security.sealing import sealer_for
from llama_stack.services.admin import AdminService
from llama_stack.services.completions import StoredCompletions
from llama_stack.services.connectors import ConnectorService
from llama_stack.services.conversations import ConversationService
from llama_stack.services.file_processors import FileProcessorService, processors_of
from llama_stack.services.inference import InferenceRouter
from llama_stack.services.models import ModelService
from llama_stack.services.prompts import PromptService
from llama_stack.services.tools import ToolService
from llama_stack.stack.files import open_files
from llama_stack.stack.knowledge import knowledge, open_vector_stores
from llama_stack.stack.models import SYSTEM_TENANT, open_attempts, open_models
from llama_stack.stack.responses import Parts, forwarded_headers, open_agent, response_service
from llama_stack.stack.runs import open_runs
from llama_stack.stack.services import Services
from llama_stack.stack.storage import Storage
from llama_stack.storage.kv.base import KVBackend
from llama_stack.storage.sql.completions import CompletionStore
from llama_stack.storage.sql.connectors import ConnectorStore
from llama_stack.storage.sql.conversations import ConversationStore
from llama_stack.storage.sql.prompts import PromptStore
from llama_stack.telemetry.metrics import Metrics
from llama_stack_api.api import Api
from llama_stack_api.ports.http import HttpClient


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
        self._storage = Storage(config.storage, metrics, exits)

    async def build(self) -> Stack:
        config, stores = self._config, self._config.storage.stores
        metadata = await self._storage.kv(stores.metadata)
        completions = await self._completions()
        egress = Egress(EgressPolicy(**config.server.egress.model_dump()))
        self._exits.push_async_callback(egress.aclose)
        mcp = McpClients(egress)
        self._exits.push_async_callback(mcp.close)
        opener = await self._open_providers(metadata, mcp)
        providers = list(opener.opened.values())
        listings = metadata.bind(SYSTEM_TENANT, stores.metadata.namespace)
        table, discovery = await open_models(config, opener, listings, self._metrics, self._exits)
        attempts = await open_attempts(config.server, self._storage, discovery, self._metrics, self._exits)
        stored = StoredCompletions(completions)
        inference = InferenceRouter(table=table, attempts=attempts, metrics=self._metrics, recorder=stored)
        sealer = sealer_for(config.server.secrets, self._state_dir)
        conversations = ConversationStore(
            await self._storage.sql(stores.conversations), limits=config.server.conversations
        )
        prompts = PromptService(PromptStore(await self._storage.owned(stores.prompts), limits=config.server.prompts))
        connectors = ConnectorService(
            config.connectors, ConnectorStore(await self._storage.owned(stores.connectors)), mcp, sealer
        )
        # Beside the responses, as vector stores are: what is attached refers to files.
        database = await self._storage.sql(stores.responses)
        files = await open_files(config.server, providers, database, self._state_dir / "local-copies", self._exits)
        processors = FileProcessorService(processors_of(providers), files.local)
        known = knowledge(
            config,
            inference=inference,
            models=table,
            providers=providers,
            database=database,
            files=files,
            parser=processors,
            sealer=sealer,
            metrics=self._metrics,
        )
        parts = Parts(
            inference=inference,
            models=table,
            providers=providers,
            conversations=conversations,
            prompts=prompts,
            connectors=connectors,
            files=files.attached,
            vector_stores=known.searches,
            mcp=mcp,
            egress=egress,
            sealer=sealer,
            metrics=self._metrics,
        )
        agent = await open_agent(config, parts, database, self._exits)
        places = {INGESTION: config.vector_stores.file_batch_params.max_concurrent_files_per_batch}
        engine = await open_runs(
            config.server.runs, database, [agent.kind, known.kind], places, self._metrics, self._exits
        )
        vector_stores = await open_vector_stores(
            config,
            known,
            engine=engine,
            models=table,
            files=files.files,
            database=database,
            sealer=sealer,
            forwarded=forwarded_headers(providers),
            metrics=self._metrics,
            exits=self._exits,
        )
        groups = tool_groups(providers, registered_tool_groups(config.registered_resources.tool_groups))
        services = Services(
            inference=inference,
            models=ModelService(table),
            stored=stored,
            responses=response_service(config, parts, agent, engine),
            conversations=ConversationService(conversations),
            prompts=prompts,
            connectors=connectors,
            tools=ToolService(groups, connectors=connectors),
            files=files.files,
            file_processors=processors,
            vector_stores=vector_stores,
            uploads=files.uploads,
            spool=files.spool,
            admin=AdminService(config, opener, discovery),
            authenticator=authenticator_for(config.server.auth),
            metrics=self._metrics,
        )
        return Stack(config, services, providers, opener.problems)

    async def _open_providers(self, metadata: KVBackend, mcp: McpClients) -> ProviderOpener:
        opener = ProviderOpener(
            self._catalog,
            state_dir=self._state_dir / "providers",
            http=_http_client,
            kv=lambda api, provider_id: metadata.bind(SYSTEM_TENANT, f"provider:{api}:{provider_id}"),
        )
        self._exits.push_async_callback(opener.close)
        for api, entry in self._config.provider_entries():
            await opener.open(api, entry, {Api.connectors: mcp})
        return opener

    async def _completions(self) -> CompletionStore:
        reference = self._config.storage.stores.inference
        store = CompletionStore(await self._storage.sql(reference), max_age_s=reference.max_age_seconds)
        await store.open()
        self._exits.push_async_callback(store.close)
        return store


def _http_client(provider_id: str, network: BaseModel | None) -> HttpClient:
    if network is not None and not isinstance(network, NetworkConfig):
        network = NetworkConfig.model_validate(network.model_dump())  # of a package that has only llama-stack-api
    return NetClient(network, name=provider_id)
