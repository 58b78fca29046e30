"""`mcp`: the tools of an MCP server, which this server lists and calls.

    mcp_list_tools          what the server offers; one of an earlier turn is used again if it is of the same server
    mcp_approval_request    a call that waits for the caller's word (`mcp_policy.py` says which)
    mcp_call                a call with its result

A definition is pinned by its digest. When a listing is used again, the server is asked before the first call of the
response what its tools are now: a tool that is no longer what the model was shown, or the caller approved, does not run
but asks for an approval (`DefinitionChanged`).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from llama_stack.agent.entries import Entry, Event, Item, ModelCall
from llama_stack.agent.tools.base import Bound, BoundTool, ToolContext, ToolResult
from llama_stack.agent.tools.mcp_access import Connectors, ServerAccess
from llama_stack.agent.tools.mcp_items import (
    ResultLimits,
    arguments_of,
    error_of,
    function_of,
    output_of,
    pin_of,
)
from llama_stack.agent.tools.mcp_policy import allowed, check_server, hints, needs_approval
from llama_stack.agent.tools.names import safe_name
from llama_stack.mcp.client import McpClients
from llama_stack.mcp.errors import McpError
from llama_stack_api.errors import InvalidRequest, LlamaStackError

KIND: Final = "mcp"
LISTING: Final = "mcp_list_tools"
LISTING_TIMEOUT_S: Final = 30.0
"""The whole response waits for it, and a server that lists slower than that will hardly be of use."""


class McpTools:
    """The kind of tools `mcp`. `timeout_s` is the deadline of one call."""

    types = frozenset({KIND})

    def __init__(
        self,
        clients: McpClients,
        connectors: Connectors,
        *,
        timeout_s: float = 120.0,
        limits: ResultLimits | None = None,
    ) -> None:
        self._clients = clients
        self._connectors = connectors
        self._timeout_s = timeout_s
        self._limits = limits or ResultLimits()

    def check(self, tool: Item) -> None:
        check_server(tool)

    def bind(self, tool: Item, before: Sequence[Entry]) -> Bound:
        try:
            check_server(tool)
        except InvalidRequest:  # not of the request, where it was checked, but brought by an item: it is left out
            return Bound()
        access = ServerAccess(tool, self._clients, self._connectors)
        listing = McpListing(access, self._timeout_s, self._limits)
        known = _known_listing(tool, before)
        return Bound(listing=listing) if known is None else Bound(listing.tools(known))


@dataclass(frozen=True, slots=True)
class McpListing:
    access: ServerAccess
    timeout_s: float
    limits: ResultLimits

    @property
    def key(self) -> str:
        return self.access.label

    def opened(self, item_id: str) -> Item:
        return {"id": item_id, "type": LISTING, "server_label": self.access.label, "tools": []}

    def announced(self) -> Sequence[Event]:
        return [{"type": "response.mcp_list_tools.in_progress"}]

    async def run(self, item: Item, context: ToolContext) -> Entry:
        pin = _server_pin(self.access.tool)
        deadline = asyncio.get_running_loop().time() + LISTING_TIMEOUT_S
        call = replace(context.call, deadline=min(deadline, context.call.deadline or deadline))
        try:
            definitions = await self.access.definitions(replace(context, call=call))
        except LlamaStackError as error:
            return Entry({**item, "tools": [], "error": error.message}, pin=pin)
        return Entry({**item, "tools": definitions}, pin=pin)

    def concluded(self, entry: Entry) -> Sequence[Event]:
        return [{"type": f"response.mcp_list_tools.{'failed' if entry.item.get('error') else 'completed'}"}]

    def tools(self, entry: Entry) -> Sequence[BoundTool]:
        return [self._bound(definition) for definition in _definitions(entry) if allowed(self.access.tool, definition)]

    def _bound(self, definition: Item) -> BoundTool:
        tool, label = self.access.tool, self.access.label
        name = safe_name(label, definition["name"])
        pin = pin_of(definition)
        repeatable = hints(definition, "readOnlyHint") or hints(definition, "idempotentHint")
        return BoundTool(
            name=name,
            definition=function_of(name, tool, definition),
            origin=tool,
            runner=McpCall(
                access=self.access,
                name=definition["name"],
                pin=pin,
                idempotent=repeatable and self.access.trusted,
                timeout_s=self.timeout_s,
                limits=self.limits,
            ),
            deferred=tool.get("defer_loading") is True,
            needs_approval=needs_approval(tool, definition),
            pin=pin,
            label=label,
            bare_name=definition["name"],
        )


@dataclass(frozen=True, slots=True)
class McpCall:
    """One tool of a server. `idempotent` only on the word of a server that the operator has chosen."""

    access: ServerAccess
    name: str
    pin: str
    idempotent: bool
    timeout_s: float
    limits: ResultLimits
    kind: str = field(default=KIND, init=False)

    def opened(self, call: ModelCall, item_id: str) -> Item:
        return {
            "id": item_id,
            "type": "mcp_call",
            "server_label": self.access.label,
            "name": self.name,
            "arguments": "",
            "output": None,
            "error": None,
            "approval_request_id": None,
            "status": "in_progress",
        }

    def announced(self, call: ModelCall, item: Item) -> Sequence[Event]:
        delta = {"type": "response.mcp_call_arguments.delta", "delta": call.arguments}
        return [
            {"type": "response.mcp_call.in_progress"},
            *([delta] if call.arguments else []),
            {"type": "response.mcp_call_arguments.done", "arguments": call.arguments},
        ]

    async def run(self, call: ModelCall, item: Item, context: ToolContext) -> ToolResult:
        arguments = arguments_of(call.arguments)
        try:
            await self.access.check_definition(self.name, context.approved_pin or self.pin, context)
            result = await self.access.call(self.name, arguments, context)
        except McpError as error:  # an HTTP status and the like would not survive as a failure of the step
            return self.failed(call, item, error)
        output = output_of(result, self.limits)
        ended = {**item, "arguments": call.arguments}
        if result.is_error:
            said = [{"type": "text", "text": output.text}]
            ended |= {"status": "failed", "error": {"type": "mcp_tool_execution_error", "content": said}}
            return ToolResult(Entry(ended, call, output.text or "The tool failed, without a word.", pin=self.pin))
        ended |= {"status": "completed", "output": output.text}
        return ToolResult(Entry(ended, call, output.shown, pin=self.pin))

    def failed(self, call: ModelCall, item: Item, error: LlamaStackError) -> ToolResult:
        ended = {**item, "arguments": call.arguments, "status": "failed", "error": error_of(error)}
        return ToolResult(Entry(ended, call, f"The call of {self.name} failed: {error.message}", pin=self.pin))

    def concluded(self, entry: Entry) -> Sequence[Event]:
        return [{"type": f"response.mcp_call.{'completed' if entry.item['status'] == 'completed' else 'failed'}"}]


def _known_listing(tool: Item, before: Sequence[Entry]) -> Entry | None:
    """The newest listing of the tool's server, unless it failed, was of another address, or is known to be outdated."""
    asked: list[Entry] = []
    for entry in reversed(before):
        if entry.item.get("server_label") != tool["server_label"]:
            continue
        if entry.item.get("type") == "mcp_approval_request":
            asked.append(entry)
        elif entry.item.get("type") == LISTING:
            foreign = entry.pin is not None and entry.pin != _server_pin(tool)
            usable = not entry.item.get("error") and not foreign and not _outdated(entry, asked)
            return entry if usable else None
    return None


def _outdated(listing: Entry, asked: Sequence[Entry]) -> bool:
    """Whether an approval was asked for a definition that is not the listing's: the tool had changed."""
    if not asked:
        return False
    pins = {definition["name"]: pin_of(definition) for definition in _definitions(listing)}
    return any(entry.pin is not None and pins.get(entry.item.get("name", "")) != entry.pin for entry in asked)


def _server_pin(tool: Item) -> str:
    """The digest of what a listing depends on: the server, and which of its tools are wanted."""
    parts = [tool.get("server_url"), tool.get("connector_id"), tool.get("allowed_tools")]
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()


def _definitions(entry: Entry) -> Iterator[Item]:
    """The tools of a listing, which a client may have sent."""
    for definition in entry.item.get("tools") or ():
        if isinstance(definition, dict) and isinstance(definition.get("name"), str) and definition["name"]:
            yield definition
