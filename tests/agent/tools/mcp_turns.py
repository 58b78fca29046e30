"""One response after another with one MCP tool, as the agent's loop takes them through it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from openai.types.responses import response_output_item

from llama_stack.agent.entries import Entry, Event, Item, ModelCall
from llama_stack.agent.ids import new_id
from llama_stack.agent.tools.base import BoundTool, ToolContext
from llama_stack.agent.tools.mcp import McpTools
from llama_stack.agent.turn import ServerSecrets, server_key
from llama_stack.mcp.model import McpServer
from llama_stack_api.errors import LlamaStackError, NotFound
from llama_stack_api.openai.responses.items import MCPCall, MCPListTools
from llama_stack_api.principal import Call, Principal

ANN = Principal("ann", tenant="acme")


@dataclass
class Known:
    """Connectors by id: the agent's port, over a dict. `trusted` are those of the operator."""

    servers: dict[str, McpServer] = field(default_factory=dict)
    trusted: frozenset[str] = frozenset()

    async def resolve(self, principal: Principal, connector_id: str) -> McpServer:
        assert principal == ANN
        if connector_id not in self.servers:
            raise NotFound(f"there is no connector {connector_id!r}")
        return self.servers[connector_id]

    def trusts(self, connector_id: str) -> bool:
        return connector_id in self.trusted


@dataclass
class McpTurn:
    """`entries` grows by what the response makes. `listed` is its listing, if there had to be one."""

    kind: McpTools
    tool: Item
    entries: list[Entry] = field(default_factory=list)
    secrets: ServerSecrets | None = None
    listed: Entry | None = None
    events: list[Event] = field(default_factory=list)
    tools: Sequence[BoundTool] = ()

    async def begin(self) -> McpTurn:
        self.kind.check(self.tool)
        bound = self.kind.bind(self.tool, self.entries)
        self.tools = bound.tools
        if bound.listing is not None:
            item = bound.listing.opened(new_id("mcp_list_tools"))
            MCPListTools.model_validate(item)
            self.events += bound.listing.announced()
            self.listed = await bound.listing.run(item, self.context())
            self.events += bound.listing.concluded(self.listed)
            response_output_item.McpListTools.model_validate(self.listed.item, strict=True)
            self.entries.append(self.listed)
            self.tools = bound.listing.tools(stored(self.listed))
        return self

    def context(self, approved_pin: str | None = None, timeout_s: float = 20.0) -> ToolContext:
        deadline = asyncio.get_running_loop().time() + timeout_s
        secrets = {server_key(self.tool): self.secrets} if self.secrets else {}
        return ToolContext(Call(principal=ANN, deadline=deadline), secrets=secrets, approved_pin=approved_pin)

    def named(self, name: str) -> BoundTool:
        (tool,) = [tool for tool in self.tools if tool.bare_name == name]
        return tool

    @property
    def names(self) -> list[str]:
        return [tool.name for tool in self.tools]

    async def call(
        self, name: str, /, *, approved_pin: str | None = None, timeout_s: float = 20.0, **given: Any
    ) -> Entry:
        return await self.call_with(name, msgspec.json.encode(given).decode(), approved_pin, timeout_s)

    async def call_with(
        self, name: str, arguments: str, approved_pin: str | None = None, timeout_s: float = 20.0
    ) -> Entry:
        runner = self.named(name).runner
        assert runner is not None
        call = ModelCall("call_1", name, arguments)
        item = runner.opened(call, new_id("mcp_call"))
        MCPCall.model_validate(item)
        self.events += runner.announced(call, item)
        try:
            result = await runner.run(call, item, self.context(approved_pin, timeout_s))
        except LlamaStackError as error:
            if error.code == "tool_definition_changed":
                raise
            result = runner.failed(call, item, error)
        self.events += runner.concluded(result.entry)
        response_output_item.McpCall.model_validate(result.entry.item, strict=True)
        assert MCPCall.model_validate(result.entry.item).status in ("completed", "failed")
        self.entries.append(result.entry)
        return result.entry


def stored(entry: Entry) -> Entry:
    """As it comes back from the store."""
    return msgspec.json.decode(msgspec.json.encode(entry), type=Entry)
