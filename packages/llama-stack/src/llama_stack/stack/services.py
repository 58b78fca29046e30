"""What the HTTP layer calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from llama_stack.security.authentication import Authenticator
from llama_stack.services.admin import AdminService
from llama_stack.services.batches.messages import MessageBatchService
from llama_stack.services.batches.openai import BatchService
from llama_stack.services.completions import StoredCompletions
from llama_stack.services.connectors import ConnectorService
from llama_stack.services.conversations import ConversationService
from llama_stack.services.file_processors import FileProcessorService
from llama_stack.services.files.service import FileService
from llama_stack.services.files.spool import Spool
from llama_stack.services.inference_ports import Inference
from llama_stack.services.messages.service import MessageService
from llama_stack.services.models import ModelService
from llama_stack.services.prompts import PromptService
from llama_stack.services.responses.service import ResponseService
from llama_stack.services.safety.moderations import ModerationService
from llama_stack.services.safety.shields import ShieldRouter
from llama_stack.services.tools import ToolService
from llama_stack.services.uploads import UploadService
from llama_stack.services.vector_stores.service import VectorStoreService
from llama_stack.telemetry.metrics import Metrics
from llama_stack_api.principal import Call


@dataclass(frozen=True, slots=True)
class ServedApi:
    """An external API. `impl` is what `create_router` of its module takes; `enter` says whose request it works for from
    here on, `report` what is wrong with its routes, once they are made."""

    name: str
    module: ModuleType
    impl: Any
    enter: Callable[[Call], None]
    report: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Services:
    inference: Inference
    models: ModelService
    shields: ShieldRouter
    moderations: ModerationService
    stored: StoredCompletions
    responses: ResponseService
    messages: MessageService
    batches: BatchService
    message_batches: MessageBatchService
    conversations: ConversationService
    prompts: PromptService
    connectors: ConnectorService
    tools: ToolService
    files: FileService
    file_processors: FileProcessorService
    uploads: UploadService
    vector_stores: VectorStoreService
    spool: Spool
    admin: AdminService
    authenticator: Authenticator
    metrics: Metrics
    external: Sequence[ServedApi] = ()
