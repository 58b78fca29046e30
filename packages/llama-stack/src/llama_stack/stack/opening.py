"""A stack, opened stage by stage: what it stands on, inference, what clients keep, the work, and its services."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from llama_stack.config.model import RunConfig
from llama_stack.routing.catalog import Catalog
from llama_stack.routing.opening import OpenProvider, ProviderProblem
from llama_stack.routing.tool_groups import registered_tool_groups, tool_groups
from llama_stack.security.authentication import authenticator_for
from llama_stack.services.admin import AdminService
from llama_stack.services.batches.endpoints import messages_endpoint, openai_endpoints
from llama_stack.services.batches.messages import MessageBatchService
from llama_stack.services.batches.openai import BatchService
from llama_stack.services.conversations import ConversationService
from llama_stack.services.messages.service import MessageService
from llama_stack.services.models import ModelService
from llama_stack.services.responses.service import ResponseService
from llama_stack.services.tools import ToolService
from llama_stack.services.vector_stores.service import VectorStoreService
from llama_stack.stack.batches import batch_starter, open_batches
from llama_stack.stack.external import serve_external_apis
from llama_stack.stack.foundation import Foundation, open_foundation
from llama_stack.stack.inference import InferenceParts, open_inference
from llama_stack.stack.knowledge import open_vector_stores
from llama_stack.stack.messages import message_service
from llama_stack.stack.responses import forwarded_headers, response_service
from llama_stack.stack.services import Services
from llama_stack.stack.stored import StoredParts, open_stored
from llama_stack.stack.work import Work, open_work
from llama_stack.telemetry.metrics import Metrics


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
            base = await open_foundation(config, state_dir, metrics or Metrics(), catalog or Catalog.of(config), exits)
            inference = await open_inference(base)
            stored = await open_stored(base, inference.providers)
            work = await open_work(base, inference, stored)
            services = await _open_services(base, inference, stored, work)
            yield cls(config, services, inference.providers, base.opener.problems)


async def _open_services(base: Foundation, inference: InferenceParts, stored: StoredParts, work: Work) -> Services:
    config, safety, files = base.config, inference.safety, stored.files
    vector_stores = await _open_vector_stores(base, inference, stored, work)
    responses = response_service(config, work.parts, work.agent, work.engine)
    messages = _message_service(base, inference, stored)
    batches, message_batches = _open_batches(base, inference, stored, work, responses, messages)
    external = serve_external_apis(config, base.catalog, base.opener, base.dependencies)
    groups = tool_groups(inference.providers, registered_tool_groups(config.registered_resources.tool_groups))
    services = Services(
        inference=safety.inference,
        shields=safety.shields,
        moderations=safety.moderations,
        models=ModelService(inference.models, inference.names),
        stored=inference.stored,
        responses=responses,
        messages=messages,
        batches=batches,
        message_batches=message_batches,
        conversations=ConversationService(stored.conversations),
        prompts=stored.prompts,
        connectors=stored.connectors,
        tools=ToolService(groups, connectors=stored.connectors),
        files=files.files,
        file_processors=stored.processors,
        vector_stores=vector_stores,
        uploads=files.uploads,
        spool=files.spool,
        admin=AdminService(config, base.opener, inference.discovery),
        authenticator=authenticator_for(config.server.auth),
        metrics=base.metrics,
        external=external,
    )
    base.dependencies.serve(services, inference.models, inference.providers)
    return services


async def _open_vector_stores(
    base: Foundation, inference: InferenceParts, stored: StoredParts, work: Work
) -> VectorStoreService:
    return await open_vector_stores(
        base.config,
        work.knowledge,
        engine=work.engine,
        models=inference.models,
        files=stored.files.files,
        database=base.database,
        sealer=base.sealer,
        forwarded=forwarded_headers(inference.providers),
        metrics=base.metrics,
        exits=base.exits,
    )


def _message_service(base: Foundation, inference: InferenceParts, stored: StoredParts) -> MessageService:
    return message_service(
        base.config.server,
        inference=inference.safety.messages,
        models=inference.models,
        names=inference.names,
        providers=inference.providers,
        files=stored.files,
        parser=stored.processors,
        mcp=base.mcp,
        egress=base.egress,
    )


def _open_batches(
    base: Foundation,
    inference: InferenceParts,
    stored: StoredParts,
    work: Work,
    responses: ResponseService,
    messages: MessageService,
) -> tuple[BatchService, MessageBatchService]:
    server, safety, files = base.config.server, inference.safety, stored.files
    starter = batch_starter(work.batching, work.engine, base.sealer, forwarded_headers(inference.providers))
    openai = openai_endpoints(safety.inference, responses.creation, safety.moderations, inference.models)
    batches = open_batches(
        server,
        work.batching,
        openai=openai,
        others=messages_endpoint(messages, inference.names, inference.models),
        starter=starter,
        files=files,
        database=base.database,
        exits=base.exits,
    )
    message_batches = MessageBatchService(
        work.batching.table, starter, files.spool, server.batches, server.files.upload_timeout_s
    )
    return batches, message_batches
