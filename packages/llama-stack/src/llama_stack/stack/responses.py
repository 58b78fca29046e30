"""Responses: the runs, the agent that carries them out, and the tools that it has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from llama_stack.agent.attachments import FetchedAttachments, FilePort
from llama_stack.agent.guardrails import Standing
from llama_stack.agent.kind import ResponseKind
from llama_stack.agent.tools.base import ToolKind
from llama_stack.agent.tools.file_search import FileSearchKind, Prompts
from llama_stack.agent.tools.functions import FunctionTools, NamespaceTools, UnrunTools
from llama_stack.agent.tools.mcp import McpTools
from llama_stack.agent.tools.tool_search import ToolSearchTools
from llama_stack.agent.tools.web_search import WebSearchKind
from llama_stack.config.model import RunConfig
from llama_stack.mcp.client import McpClients
from llama_stack.net.egress import Egress
from llama_stack.routing.models import ModelTable
from llama_stack.routing.opening import OpenProvider
from llama_stack.routing.tool_groups import WebSearchRouter, search_providers
from llama_stack.runs.engine import RunEngine
from llama_stack.runs.reader import RunReader
from llama_stack.security.sealing import KeySealer
from llama_stack.services.connectors import ConnectorService
from llama_stack.services.inference import InferenceRouter
from llama_stack.services.prompts import PromptService
from llama_stack.services.responses.context import ResponseContext
from llama_stack.services.responses.create import ResponseCreation
from llama_stack.services.responses.drafts import Drafts
from llama_stack.services.responses.history import ResponseHistory
from llama_stack.services.responses.model import RoutedModel
from llama_stack.services.responses.reading import StoredResponses
from llama_stack.services.responses.references import StoredItems
from llama_stack.services.responses.service import ResponseService
from llama_stack.services.safety.shields import ShieldRouter
from llama_stack.services.vector_stores.search import FileSearches
from llama_stack.storage.sql.conversations import ConversationStore
from llama_stack.storage.sql.database import Database
from llama_stack.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Parts:
    """What responses are made with."""

    inference: InferenceRouter
    models: ModelTable
    providers: Sequence[OpenProvider]
    conversations: ConversationStore
    prompts: PromptService
    connectors: ConnectorService
    files: FilePort
    vector_stores: FileSearches | None
    shields: ShieldRouter
    standing: Standing
    mcp: McpClients
    egress: Egress
    sealer: KeySealer
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class Agent:
    """What there is before the runs: `kind` carries responses out."""

    kind: ResponseKind
    model: RoutedModel
    history: ResponseHistory
    tools: Sequence[ToolKind]


def agent_of(config: RunConfig, parts: Parts, database: Database) -> Agent:
    kinds = _tools(config, parts)
    model = RoutedModel(parts.inference, parts.models)
    history = ResponseHistory(RunReader(database, config.server.runs), parts.conversations)
    kind = ResponseKind(
        model=model,
        history=history,
        tools=kinds,
        shields=parts.shields,
        standing=parts.standing,
        sealer=parts.sealer,
        attachments=FetchedAttachments(parts.egress, parts.files, config.server.responses.attachments),
        limits=config.server.responses,
        metrics=parts.metrics.agent,
    )
    return Agent(kind, model, history, kinds)


def response_service(config: RunConfig, parts: Parts, agent: Agent, engine: RunEngine) -> ResponseService:
    stored = StoredResponses(engine, agent.history)
    drafts = Drafts(
        models=parts.models,
        journal=engine.journal,
        history=agent.history,
        conversations=parts.conversations,
        prompts=parts.prompts,
        stores=parts.vector_stores,
        references=StoredItems(engine.journal, parts.conversations),
        kinds=agent.tools,
        shields=parts.shields,
        forwarded=forwarded_headers(parts.providers),
        limits=config.server.responses,
        redact=agent.kind.redact,
    )
    return ResponseService(
        creation=ResponseCreation(engine, drafts, stored, parts.sealer),
        stored=stored,
        context=ResponseContext(drafts, agent.model, parts.sealer, config.server.responses),
    )


def _tools(config: RunConfig, parts: Parts) -> list[ToolKind]:
    words = config.vector_stores
    prompts = Prompts(
        words.file_search_params,
        words.context_prompt_params,
        words.annotation_prompt_params,
        words.chunk_retrieval_params,
    )
    return [
        FunctionTools(),
        NamespaceTools(),
        McpTools(parts.mcp, parts.connectors),
        ToolSearchTools(),
        WebSearchKind(WebSearchRouter(search_providers(parts.providers))),
        FileSearchKind(parts.vector_stores, prompts=prompts),
        UnrunTools(),
    ]


def forwarded_headers(opened: Iterable[OpenProvider]) -> frozenset[str]:
    """The request headers that some provider passes on."""
    configured = (getattr(each.config, "forward_headers", None) or {} for each in opened)
    return frozenset(header.lower() for headers in configured for header in headers.values())
