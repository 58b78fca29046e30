"""Messages: the service, and the tools that it runs itself."""

from __future__ import annotations

from collections.abc import Sequence

from llama_stack.agent.attachments import FetchedAttachments
from llama_stack.config.server import ServerConfig
from llama_stack.mcp.client import McpClients
from llama_stack.net.egress import Egress
from llama_stack.routing.models import ModelTable
from llama_stack.routing.opening import OpenProvider
from llama_stack.routing.tool_groups import WebSearchRouter, search_providers
from llama_stack.services.file_processors import FileProcessorService
from llama_stack.services.inference_ports import MessageInference
from llama_stack.services.messages.attached import AttachedContent
from llama_stack.services.messages.names import ModelNames
from llama_stack.services.messages.server_tools.pages import WebPages
from llama_stack.services.messages.server_tools.toolbox import ToolBinding
from llama_stack.services.messages.service import MessageService
from llama_stack.stack.files import FileParts


def message_service(
    server: ServerConfig,
    *,
    inference: MessageInference,
    models: ModelTable,
    names: ModelNames,
    providers: Sequence[OpenProvider],
    files: FileParts,
    parser: FileProcessorService,
    mcp: McpClients,
    egress: Egress,
) -> MessageService:
    config = server.messages
    attachments = FetchedAttachments(egress, files.attached, server.responses.attachments)
    return MessageService(
        inference=inference,
        models=models,
        names=names,
        attached=AttachedContent(attachments, parser, files.spool),
        tools=ToolBinding(
            search=WebSearchRouter(search_providers(providers)),
            pages=WebPages(egress, parser, files.spool, bytes_max=config.web_fetch_bytes_max),
            servers=mcp,
            config=config,
        ),
        config=config,
    )
