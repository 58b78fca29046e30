"""`tools` and `tool_choice` of a Messages request as those of a chat completion."""

from __future__ import annotations

from typing import Any

from llama_stack.dialects.anthropic.client_tools import known_tool
from llama_stack.dialects.chat.values import Json, mapping, objects, text_or, without_nulls
from llama_stack_api.errors import InvalidRequest


def chat_tools(request: Json) -> Json:
    """The members `tools`, `tool_choice` and `parallel_tool_calls`; none where there are no tools to offer.
    `InvalidRequest` for a choice of a tool that is not there."""
    asked = objects(request.get("tools"))
    offered = [function for tool in _loaded(asked, request) if (function := _function(tool)) is not None]
    if not offered:
        return {}
    names = {text_or(tool.get("name")) for tool in asked}
    choice = mapping(request.get("tool_choice"))
    members: Json = {"tools": offered}
    chosen = _choice(choice, names, {function["function"]["name"] for function in offered})
    if chosen is not None:
        members["tool_choice"] = chosen
    if choice.get("disable_parallel_tool_use") is True:
        members["parallel_tool_calls"] = False
    return members


def _loaded(tools: list[Json], request: Json) -> list[Json]:
    """The tools without the deferred ones that the client has not loaded by a `tool_reference` in some result. Those
    that a search of Anthropic's would load are all there: nobody here runs that search."""
    if any(text_or(tool.get("type")).startswith("tool_search_tool") for tool in tools):
        return tools
    results = [
        inner
        for message in objects(request.get("messages"))
        for block in objects(message.get("content"))
        for inner in objects(block.get("content"))
    ]
    named = {text_or(block.get("tool_name")) for block in results if block.get("type") == "tool_reference"}
    return [tool for tool in tools if tool.get("defer_loading") is not True or tool.get("name") in named]


def _function(tool: Json) -> Json | None:
    """A tool as a function; None for a tool of a server's that no model here can be told of."""
    kind, schema, description = tool.get("type"), tool.get("input_schema"), tool.get("description")
    if not isinstance(schema, dict):
        known = known_tool(text_or(kind))
        if known is None and kind not in (None, "custom"):
            return None
        schema = known.parameters if known else {"type": "object", "properties": {}}
        description = description or (known.description if known else None)
    function = {
        "name": text_or(tool.get("name")),
        "description": description or None,
        "parameters": schema,
        "strict": tool.get("strict"),
    }
    return {"type": "function", "function": without_nulls(function)}


def _choice(choice: Json, names: set[Any], offered: set[Any]) -> Any:
    """None is the default, by which the model chooses."""
    match choice.get("type"):
        case None | "auto":
            return None
        case "any":
            return "required"
        case "none":
            return "none"
        case "tool":
            name = text_or(choice.get("name"))
            if name not in names:
                raise InvalidRequest(f"'tool_choice' names the tool {name!r}, which is not among the tools.")
            return {"type": "function", "function": {"name": name}} if name in offered else None
        case other:
            raise InvalidRequest(f"'tool_choice' of type {other!r} is not known.", param="tool_choice")
