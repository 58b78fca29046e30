"""`tool_search`: deferred tools are found by the model when it needs them, instead of being shown to it always.

On the server (the default) it is a function `tool_search(query, limit)` that ranks the deferred tools by their words.
With `execution: client` it is the caller's tool, whose output may bring definitions that the request lacks. What a
search found is loaded by its `tool_search_output` (`deferral.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Final

from llama_stack.agent.arguments import json_object
from llama_stack.agent.entries import Entry, Event, Item, ModelCall
from llama_stack.agent.ids import new_id
from llama_stack.agent.tools.base import Bound, BoundTool, CallerTool, ToolContext, ToolResult
from llama_stack.agent.tools.deferral import OUTPUT, brief, namespace_description, source_of
from llama_stack.agent.tools.query import required_query
from llama_stack.agent.tools.ranking import Document, rank
from llama_stack_api.errors import InvalidRequest, LlamaStackError

KIND: Final = "tool_search"
RESULTS_DEFAULT: Final = 5
RESULTS_MAX: Final = 20
QUERY_CHARS_MAX: Final = 1000
ON_LOOP_TOOLS_MAX: Final = 200
"""More are ranked in a thread, so that no other request waits."""
PARAMETER_DEPTH_MAX: Final = 4

DESCRIPTION: Final = (
    "Searches tools that are not loaded yet, by words of their names, descriptions and parameters, and loads those "
    "that it finds: you can call them afterwards. Search whenever no loaded tool fits the task."
)
PARAMETERS: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "query": {"type": "string", "description": "What the tool should do, in a few words."},
        "limit": {
            "type": "integer",
            "minimum": 1,
            "maximum": RESULTS_MAX,
            "description": f"How many tools to load at most; {RESULTS_DEFAULT} if left out.",
        },
    },
    "required": ["query"],
}


class ToolSearchTools:
    """The kind of tools `tool_search`."""

    types = frozenset({KIND})

    def __init__(self, *, timeout_s: float = 30.0) -> None:
        self._search = ToolSearch(timeout_s)

    def check(self, tool: Item) -> None:
        parameters = tool.get("parameters")
        if tool.get("execution") == "client" and parameters is not None and not isinstance(parameters, dict):
            raise InvalidRequest("The parameters of a tool_search are a JSON Schema.", param="parameters")

    def bind(self, tool: Item, before: Sequence[Entry]) -> Bound:
        if tool.get("execution") == "client":
            parameters = tool.get("parameters") or PARAMETERS
            definition = _definition(tool.get("description") or DESCRIPTION, parameters)
            return Bound([BoundTool(KIND, definition, tool, caller=CallerTool("tool_search", KIND))])
        return Bound([BoundTool(KIND, _definition(tool.get("description") or DESCRIPTION), tool, runner=self._search)])


class ToolSearch:
    """The search as the server runs it; it has no side effect."""

    kind = KIND
    idempotent = True

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s

    def opened(self, call: ModelCall, item_id: str) -> Item:
        return {
            "id": item_id,
            "type": "tool_search_call",
            "call_id": None,
            "execution": "server",
            "arguments": {},
            "status": "in_progress",
        }

    def announced(self, call: ModelCall, item: Item) -> Sequence[Event]:
        return ()

    async def run(self, call: ModelCall, item: Item, context: ToolContext) -> ToolResult:
        query, limit = _arguments(call)
        if len(context.deferred) > ON_LOOP_TOOLS_MAX:
            order = await asyncio.to_thread(_ranked, query, context.deferred)
        else:
            order = _ranked(query, context.deferred)
        found = [context.deferred[index] for index in order[:limit]]
        done = {**item, "arguments": {"query": query, "limit": limit}, "status": "completed"}
        output = {
            "id": new_id(OUTPUT, item["id"]),
            "type": OUTPUT,
            "call_id": None,
            "execution": "server",
            "tools": _definitions(found),
            "status": "completed",
        }
        return ToolResult(Entry(done, call, _shown(found)), [Entry(output)])

    def failed(self, call: ModelCall, item: Item, error: LlamaStackError) -> ToolResult:
        return ToolResult(Entry({**item, "status": "incomplete"}, call, f"The search failed: {error.message}"))

    def concluded(self, entry: Entry) -> Sequence[Event]:
        return ()


def _definition(description: str, parameters: dict[str, Any] = PARAMETERS) -> dict[str, Any]:
    return {"type": "function", "function": {"name": KIND, "description": description, "parameters": parameters}}


def _arguments(call: ModelCall) -> tuple[str, int]:
    """The query, and how many tools are wanted."""
    query = required_query(call, QUERY_CHARS_MAX)
    limit = (json_object(call.arguments) or {}).get("limit")
    wanted = limit if isinstance(limit, int) and not isinstance(limit, bool) else RESULTS_DEFAULT
    return query, min(max(wanted, 1), RESULTS_MAX)


def _ranked(query: str, tools: Sequence[BoundTool]) -> list[int]:
    return rank(query, [_document(tool) for tool in tools])


def _document(tool: BoundTool) -> Document:
    function = tool.definition["function"]
    return [
        (tool.bare_name or (tool.caller.name if tool.caller else tool.name), 3.0),
        (source_of(tool) or "", 2.0),
        (function.get("description") or "", 1.0),
        *((text, 0.5) for text in _parameter_texts(function.get("parameters"), PARAMETER_DEPTH_MAX)),
    ]


def _parameter_texts(schema: Any, depth: int) -> Iterator[str]:
    if not isinstance(schema, dict) or depth == 0:
        return
    properties = schema.get("properties")
    for name, inner in properties.items() if isinstance(properties, dict) else ():
        yield name
        if isinstance(inner, dict) and isinstance(inner.get("description"), str):
            yield inner["description"]
        yield from _parameter_texts(inner, depth - 1)
    yield from _parameter_texts(schema.get("items"), depth - 1)


def _definitions(found: Sequence[BoundTool]) -> list[Item]:
    """The tools as a `tool_search_output` lists them; those of one namespace, or of one server, together."""
    definitions: dict[tuple[str, str], Item] = {}
    for tool in found:
        if tool.label is not None:
            shared = {"type": "mcp", "server_label": tool.label, "allowed_tools": []}
            where = {name: tool.origin[name] for name in ("server_url", "connector_id") if tool.origin.get(name)}
            group = definitions.setdefault(("mcp", tool.label), {**shared, **where, "defer_loading": True})
            group["allowed_tools"].append(tool.bare_name)
        elif tool.caller is not None and tool.caller.namespace is not None:
            space = tool.caller.namespace
            empty = {"type": "namespace", "name": space, "description": namespace_description(tool), "tools": []}
            definitions.setdefault(("namespace", space), empty)["tools"].append(_inner(tool))
        else:
            nulls = {"parameters": None, "strict": None} if tool.origin.get("type") == "function" else {}
            definitions[tool.origin.get("type", ""), tool.name] = {**nulls, **tool.origin}
    return list(definitions.values())


def _inner(tool: BoundTool) -> Item:
    """The definition in a namespace that a tool comes of."""
    name = tool.caller.name if tool.caller else tool.name
    return next((inner for inner in tool.origin.get("tools") or () if inner.get("name") == name), tool.origin)


def _shown(found: Sequence[BoundTool]) -> str:
    if not found:
        return "No tool was found. Try other words, or go on without."
    lines = [f"- {tool.name}: {brief(tool.definition['function'].get('description'))}" for tool in found]
    return "\n".join(["These tools are loaded now:", *lines])
