"""`mcp_servers`: their tools, offered to the model and run where they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from uuid import uuid4

from llama_stack.agent.together import together
from llama_stack.agent.tools.mcp_access import session_scope
from llama_stack.agent.tools.mcp_items import ResultLimits, output_of
from llama_stack.agent.tools.mcp_policy import SERVERS_MAX, check_url
from llama_stack.agent.tools.names import safe_name
from llama_stack.mcp.model import McpResult, McpServer, McpTool
from llama_stack.services.messages.chat import Json
from llama_stack.services.messages.server_tools.tool import ToolFailed
from llama_stack_api.errors import InvalidRequest, LlamaStackError, ProviderError
from llama_stack_api.principal import Call

_LIMITS: Final = ResultLimits()
_PARAM: Final = "mcp_servers"


class AsksServers(Protocol):
    """`mcp.client.McpClients`."""

    async def list_tools(self, server: McpServer, *, deadline: float | None = None) -> list[McpTool]: ...

    async def call_tool(
        self, server: McpServer, name: str, arguments: Mapping[str, Any], *, deadline: float | None = None
    ) -> McpResult: ...


@dataclass(frozen=True, slots=True)
class RemoteTool:
    """See `tool.ServerTool`. The model calls `tool` by `name`."""

    name: str
    tool: McpTool
    server: McpServer
    clients: AsksServers
    counter: str | None = None

    def definition(self) -> Json:
        schema = {name: value for name, value in self.tool.input_schema.items() if name != "$schema"}
        return {
            "name": self.name,
            "description": self.tool.description or self.tool.title or "",
            "input_schema": {"type": "object", "properties": {}, **schema},
        }

    def use(self) -> Json:
        return {
            "type": "mcp_tool_use",
            "id": f"mcptoolu_{uuid4().hex[:24]}",
            "name": self.tool.name,
            "server_name": self.server.label,
            "input": {},
        }

    async def result(self, use: Json, call: Call) -> Json:
        result = await self.clients.call_tool(self.server, self.tool.name, use["input"], deadline=call.deadline)
        return _block(use, output_of(result, _LIMITS).text, is_error=result.is_error)

    def failure(self, use: Json, error: LlamaStackError | ToolFailed) -> Json:
        return _block(use, str(error), is_error=True)


def _block(use: Json, text: str, *, is_error: bool) -> Json:
    content = [{"type": "text", "text": text}] if text else []
    return {"type": "mcp_tool_result", "tool_use_id": use["id"], "is_error": is_error, "content": content}


async def mcp_tools(
    servers: Sequence[Json], toolsets: Sequence[Json], taken: Collection[Any], clients: AsksServers, call: Call
) -> list[RemoteTool]:
    """The enabled tools of all servers, under names of their own. `InvalidRequest` where one cannot be asked."""
    if len(servers) > SERVERS_MAX:
        raise InvalidRequest(f"A request names at most {SERVERS_MAX} MCP servers.", param=_PARAM)
    named = {server.get("name"): _server(server, call) for server in servers}
    if len(named) < len(servers):
        raise InvalidRequest("Two MCP servers have the same name; each needs its own.", param=_PARAM)
    sets = {toolset.get("mcp_server_name"): toolset for toolset in toolsets}
    for name in sets.keys() - named.keys():
        raise InvalidRequest(f"A toolset names the MCP server {name!r}, which is not in mcp_servers.", param="tools")
    listed = await together([_listed(clients, server, call) for server in named.values()])
    names, found = set(taken), []
    for asked, server, tools in zip(servers, named.values(), listed, strict=True):
        for tool in tools:
            if _is_enabled(tool.name, asked, sets.get(server.label)):
                name = _free_name(tool.name, server.label, names)
                names.add(name)
                found.append(RemoteTool(name, tool, server, clients))
    return found


def _server(asked: Json, call: Call) -> McpServer:
    url, name = asked.get("url"), asked.get("name")
    if not isinstance(url, str) or not isinstance(name, str) or not name:
        raise InvalidRequest("An MCP server has a name and a url.", param=_PARAM)
    check_url(url, _PARAM)
    token = asked.get("authorization_token") or None
    return McpServer(name, url=url, authorization=token, scope=session_scope(call.principal))


async def _listed(clients: AsksServers, server: McpServer, call: Call) -> list[McpTool]:
    try:
        return await clients.list_tools(server, deadline=call.deadline)
    except ProviderError as error:
        raise InvalidRequest(
            f"The MCP server {server.label!r} could not be asked for its tools: {error.message}", param=_PARAM
        ) from None


def _is_enabled(name: str, server: Json, toolset: Json | None) -> bool:
    """By the toolset, or by the older `tool_configuration` of the server. Without either, all are."""
    older = server.get("tool_configuration") or {}
    allowed = older.get("allowed_tools")
    if older.get("enabled") is False or (allowed is not None and name not in allowed):
        return False
    for said in ((toolset or {}).get("configs", {}).get(name), (toolset or {}).get("default_config")):
        enabled = (said or {}).get("enabled")
        if enabled is not None:
            return bool(enabled)
    return True


def _free_name(name: str, label: str, taken: Collection[Any]) -> str:
    for candidate in (safe_name(label, name), safe_name(label, f"{label}__{name}")):
        if candidate not in taken:
            return candidate
    raise InvalidRequest(f"Two tools have the name {name!r} on MCP servers named alike.", param=_PARAM)
