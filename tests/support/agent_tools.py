"""Ports and tools for tests of the agent: small, real, and with effects that can be counted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from llama_stack.agent.entries import Entry, Event, Item, ModelCall
from llama_stack.agent.ports import Violation
from llama_stack.agent.tools.base import Bound, BoundTool, CallerTool, Listing, ToolContext, ToolResult
from llama_stack.agent.turn import ServerSecrets, server_key
from llama_stack_api.errors import LlamaStackError, NotFound
from llama_stack_api.principal import Call

Effect: TypeAlias = Callable[[ModelCall, ToolContext], Any]


@dataclass
class Toolset:
    """Tools that the server runs, in the guise of MCP's. The tools of a request name effects, which give the output."""

    effects: Mapping[str, Effect] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    types = frozenset({"mcp", "function"})

    def check(self, tool: Item) -> None: ...

    def bind(self, tool: Item, before: Sequence[Entry]) -> Bound:
        name = tool["name"]
        function = {"name": name, "parameters": tool.get("parameters") or {"type": "object", "properties": {}}}
        definition = {"type": "function", "function": function}
        if tool["type"] == "function":
            return Bound([BoundTool(name, definition, tool, caller=CallerTool("function", name))])
        runner = ToyTool(name, self, tool.get("idempotent", False), tool.get("timeout_s", 10.0))
        return Bound(
            [
                BoundTool(
                    name,
                    definition,
                    tool,
                    runner=runner,
                    needs_approval=tool.get("approval", False),
                    pin=tool.get("pin"),
                    label=tool["server_label"],
                    bare_name=name,
                )
            ]
        )


@dataclass(frozen=True)
class ToyTool:
    name: str
    of: Toolset
    idempotent: bool
    timeout_s: float
    kind: str = "mcp"

    def opened(self, call: ModelCall, item_id: str) -> Item:
        return {
            "id": item_id, "type": "mcp_call", "server_label": "toys", "name": self.name, "arguments": "",
            "output": None, "error": None, "approval_request_id": None, "status": "in_progress",
        }  # fmt: skip

    def announced(self, call: ModelCall, item: Item) -> Sequence[Event]:
        return [
            {"type": "response.mcp_call.in_progress"},
            {"type": "response.mcp_call_arguments.delta", "delta": call.arguments},
            {"type": "response.mcp_call_arguments.done", "arguments": call.arguments},
        ]

    async def run(self, call: ModelCall, item: Item, context: ToolContext) -> ToolResult:
        self.of.calls.append(f"{self.name} {call.arguments}")
        output = self.of.effects[self.name](call, context)
        if asyncio.iscoroutine(output):
            output = await output
        if isinstance(output, ToolResult):
            return output
        done = {**item, "arguments": call.arguments, "status": "completed", "output": str(output)}
        return ToolResult(Entry(done, call, str(output)))

    def failed(self, call: ModelCall, item: Item, error: LlamaStackError) -> ToolResult:
        content = [{"type": "text", "text": error.message}]
        what = {"type": "mcp_tool_execution_error", "content": content}
        done = {**item, "arguments": call.arguments, "status": "failed", "error": what}
        return ToolResult(Entry(done, call, f"Error: {error.message}"))

    def concluded(self, entry: Entry) -> Sequence[Event]:
        return [{"type": f"response.mcp_call.{entry.item['status']}"}]


@dataclass
class WordShield:
    """Objects to messages that hold a word. `seen` are the texts that it was shown."""

    words: tuple[str, ...]
    seen: list[str] = field(default_factory=list)

    async def check(
        self, shield_ids: Sequence[str], messages: Sequence[dict[str, Any]], call: Call
    ) -> Violation | None:
        if "absent" in shield_ids:
            raise NotFound("there is no shield 'absent'")
        text = json.dumps([message["content"] for message in messages])
        self.seen.append(text)
        found = next((word for word in self.words if word in text), None)
        return None if found is None else Violation(shield_ids[0], f"{found} is not spoken of")


@dataclass
class Server:
    """A listing whose server takes part in a meeting of servers."""

    label: str
    of: Listings

    @property
    def key(self) -> str:
        return self.label

    def opened(self, item_id: str) -> Item:
        return {"id": item_id, "type": "mcp_list_tools", "server_label": self.label, "tools": []}

    def announced(self) -> Sequence[Event]:
        return [{"type": "response.mcp_list_tools.in_progress"}]

    async def run(self, item: Item, context: ToolContext) -> Entry:
        self.of.secrets.append(
            context.secrets.get(server_key({"server_label": self.label}), ServerSecrets()).authorization
        )
        await self.of.together.wait()
        return Entry({**item, "tools": [{"name": f"{self.label}_tool", "input_schema": {"type": "object"}}]})

    def concluded(self, entry: Entry) -> Sequence[Event]:
        return [{"type": "response.mcp_list_tools.completed"}]

    def tools(self, entry: Entry) -> Sequence[BoundTool]:
        name = entry.item["tools"][0]["name"]
        runner = ToyTool(name, self.of.tools, idempotent=True, timeout_s=5.0)
        definition = {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
        return [BoundTool(name, definition, {}, runner=runner, label=self.label, bare_name=name)]


@dataclass
class Listings:
    tools: Toolset
    together: asyncio.Barrier
    secrets: list[str | None] = field(default_factory=list)
    types = frozenset({"mcp", "function"})

    def check(self, tool: Item) -> None: ...

    def bind(self, tool: Item, before: Sequence[Entry]) -> Bound:
        if tool["type"] == "function":
            return self.tools.bind(tool, before)
        server: Listing = Server(tool["server_label"], self)
        listed = (entry for entry in before if entry.item.get("type") == "mcp_list_tools")
        known = next((entry for entry in listed if entry.item["server_label"] == tool["server_label"]), None)
        return Bound(listing=server) if known is None else Bound(server.tools(known))


class OpenSeal:
    """Seals by a key that can be lost."""

    def __init__(self, key: bytes = b"key") -> None:
        self._key = key

    def seal(self, secret: bytes, bound_to: bytes) -> bytes:
        return self._key + b"|" + bound_to + b"|" + secret[::-1]

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        key, bound, secret = sealed.split(b"|", 2)
        if (key, bound) != (self._key, bound_to):
            raise LlamaStackError("sealed under another key", code="credentials_lost")
        return secret[::-1]
