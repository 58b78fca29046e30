"""Reaching the MCP server that a tool of the request names."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import msgspec

from llama_stack.agent.entries import Item
from llama_stack.agent.tools.base import ToolContext
from llama_stack.agent.tools.errors import DefinitionChanged
from llama_stack.agent.tools.mcp_items import INVALID_PARAMS, definition_item, pin_of
from llama_stack.agent.tools.mcp_policy import allowed, authorization_in
from llama_stack.agent.turn import ServerSecrets, server_key
from llama_stack.mcp.client import McpClients
from llama_stack.mcp.errors import McpProtocolError
from llama_stack.mcp.model import McpResult, McpServer
from llama_stack_api.principal import Principal


class Connectors(Protocol):
    async def resolve(self, principal: Principal, connector_id: str) -> McpServer:
        """The server behind a connector, with the operator's credentials. `NotFound` if the principal has none such."""
        ...

    def trusts(self, connector_id: str) -> bool:
        """Whether the connector is the operator's own, so that its server's hints about its tools can be relied on."""
        ...


def session_scope(principal: Principal) -> str:
    """Who may share a session with an MCP server, which may keep state in it."""
    return msgspec.json.encode([principal.tenant, principal.id]).decode()


@dataclass(slots=True)
class ServerAccess:
    """One MCP tool of one response: its server, and what that server is known to offer now."""

    tool: Item
    clients: McpClients
    connectors: Connectors
    _pins: Mapping[str, str] | None = None
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def label(self) -> str:
        return str(self.tool["server_label"])

    @property
    def trusted(self) -> bool:
        return not self.tool.get("server_url") and self.connectors.trusts(str(self.tool.get("connector_id")))

    async def definitions(self, context: ToolContext) -> list[Item]:
        """The allowed tools, as the server lists them now."""
        listed = await self.clients.list_tools(await self._server(context), deadline=context.call.deadline)
        definitions = [definition for tool in listed if allowed(self.tool, definition := definition_item(tool))]
        self._pins = {definition["name"]: pin_of(definition) for definition in definitions}
        return definitions

    async def check_definition(self, name: str, pin: str, context: ToolContext) -> None:
        """`DefinitionChanged` unless the tool is still the one of this digest. The server is asked once a response, and
        not at all if it was asked for its tools in it."""
        async with self._asking:
            if self._pins is None:
                await self.definitions(context)
            pins = self._pins or {}
        if name not in pins:
            raise McpProtocolError(f"the MCP server '{self.label}' no longer offers the tool {name!r}", INVALID_PARAMS)
        if pins[name] != pin:
            raise DefinitionChanged(name, pins[name])

    async def call(self, name: str, arguments: Item, context: ToolContext) -> McpResult:
        server = await self._server(context)
        return await self.clients.call_tool(server, name, arguments, deadline=context.call.deadline)

    async def _server(self, context: ToolContext) -> McpServer:
        secrets = context.secrets.get(server_key(self.tool)) or ServerSecrets()
        principal = context.call.principal
        url = self.tool.get("server_url")
        if url:
            return McpServer(
                self.label,
                url=url,
                headers=secrets.headers,
                authorization=secrets.authorization,
                scope=session_scope(principal),
            )
        server = await self.connectors.resolve(principal, str(self.tool.get("connector_id")))
        return with_secrets(replace(server, label=self.label), secrets)


def with_secrets(server: McpServer, secrets: ServerSecrets) -> McpServer:
    """A connector's server with the caller's own credentials, which go before the connector's."""
    if server.url is None:
        return server
    own = secrets.authorization is not None or authorization_in(secrets.headers)
    kept = {name: value for name, value in server.headers.items() if not own or name.lower() != "authorization"}
    return replace(
        server,
        headers={**kept, **secrets.headers},
        authorization=secrets.authorization if own else server.authorization,
    )
