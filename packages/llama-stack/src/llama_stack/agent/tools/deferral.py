"""Deferred tools: which are offered in a round, and what the items of a response say of that.

A `tool_search_output` among the entries, of this turn or an earlier one, loads what it names. In a request without a
`tool_search` nothing is deferred: every tool is offered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from llama_stack.agent.entries import Entry, Item
from llama_stack.agent.tools.base import BoundTool
from llama_stack.agent.tools.names import Key, key_of
from llama_stack.agent.turn import server_key

OUTPUT: Final = "tool_search_output"
SOURCES_MAX: Final = 50
BRIEF_CHARS_MAX: Final = 300


def offered(tools: Sequence[BoundTool], entries: Iterable[Entry]) -> list[BoundTool]:
    """What the model is offered in a round: all that is not deferred, and what searches among the entries have loaded.

    Where the server searches, the model is told what there is to search.
    """
    deferred = [tool for tool in tools if tool.deferred]
    searches = [tool for tool in tools if _is_search(tool)]
    if not deferred or not searches:
        return [tool for tool in tools if tool.runner is None or not _is_search(tool)]
    loads = loaded(entries)
    return [
        _with_sources(tool, deferred) if _is_search(tool) and tool.runner else tool
        for tool in tools
        if not tool.deferred or loads(tool)
    ]


def loaded(entries: Iterable[Entry]) -> Callable[[BoundTool], bool]:
    """Whether a search among the entries has found a tool."""
    keys: set[Key] = set()
    servers: set[str] = set()
    for tool in _of_outputs(entry.item for entry in entries if entry.item.get("type") == OUTPUT):
        if tool.get("type") == "mcp" and not isinstance(tool.get("allowed_tools"), list):
            servers.add(str(tool.get("server_label")))
        keys.update(_keys(tool))
    return lambda tool: key_of(tool) in keys or tool.label in servers


def brought(entries: Iterable[Entry], tools: Iterable[Item] = ()) -> list[Item]:
    """Definitions that items bring besides the request's `tools`: `additional_tools`, and outputs of the caller's own
    searches. They are bound after those of the request; `tools.names.distinct` drops what is there already.

    A label is the server's that had it first: another server under it is left out, so that none passes for another."""
    items = (entry.item for entry in entries)
    bringing = (
        item
        for item in items
        if item.get("type") == "additional_tools" or (item.get("type") == OUTPUT and item.get("execution") == "client")
    )
    servers = {str(tool.get("server_label")): server_key(tool) for tool in tools if tool.get("type") == "mcp"}

    def has_its_label(tool: Item) -> bool:
        key = server_key(tool)
        return servers.setdefault(str(tool.get("server_label")), key) == key

    return [tool for tool in _of_outputs(bringing) if tool.get("type") != "mcp" or has_its_label(tool)]


def _of_outputs(items: Iterable[Item]) -> Iterator[Item]:
    for item in items:
        yield from (tool for tool in item.get("tools") or () if isinstance(tool, dict))


def _keys(tool: Item) -> Iterator[Key]:
    match tool.get("type"):
        case "function" | "custom" as kind:
            yield kind, None, str(tool.get("name"))
        case "namespace":
            for inner in tool.get("tools") or ():
                yield str(inner.get("type")), str(tool.get("name")), str(inner.get("name"))
        case "mcp":
            for name in tool.get("allowed_tools") or ():
                yield "mcp", str(tool.get("server_label")), str(name)


def _is_search(tool: BoundTool) -> bool:
    return (tool.caller.kind if tool.caller else tool.runner.kind if tool.runner else None) == "tool_search"


def _with_sources(search: BoundTool, deferred: Sequence[BoundTool]) -> BoundTool:
    """The search, whose description says what there is to find: servers, namespaces, and tools that are in neither."""
    sources: dict[str, list[BoundTool]] = {}
    for tool in deferred:
        sources.setdefault(source_of(tool) or "", []).append(tool)
    alone = [f"- {tool.name}" for tool in sources.pop("", [])]
    lines = [_source_line(name, tools) for name, tools in sources.items()] + alone
    listed = lines[:SOURCES_MAX]
    if len(lines) > SOURCES_MAX:
        listed.append(f"- and {len(lines) - SOURCES_MAX} more")
    function = search.definition["function"]
    description = "\n".join([function["description"], "What can be found:", *listed])
    return replace(search, definition={**search.definition, "function": {**function, "description": description}})


def _source_line(name: str, tools: Sequence[BoundTool]) -> str:
    about = tools[0].origin.get("server_description") or namespace_description(tools[0])
    return f"- {name} ({len(tools)} tools){': ' if about else ''}{brief(about)}"


def brief(text: str | None) -> str:
    line = " ".join((text or "").split())
    return line if len(line) <= BRIEF_CHARS_MAX else line[: BRIEF_CHARS_MAX - 1] + "…"


def source_of(tool: BoundTool) -> str | None:
    return tool.label or (tool.caller.namespace if tool.caller else None)


def namespace_description(tool: BoundTool) -> str:
    return tool.origin.get("description") or "" if tool.origin.get("type") == "namespace" else ""
