"""`tools` and `tool_choice` of a chat completion request as those of a Messages request."""

from __future__ import annotations

from typing import Any

from llama_stack.dialects.anthropic.values import Json, mapping, objects, without_nulls
from llama_stack_api.errors import UnsupportedParameter


def tool_members(chat: Json) -> Json:
    """The members `tools` and `tool_choice`; none without tools. `UnsupportedParameter` for tools that are no
    functions."""
    tools = [_tool(tool) for tool in objects(chat.get("tools"))]
    if not tools:
        return {}
    choice = chat.get("tool_choice")
    if mapping(choice).get("type") == "allowed_tools":
        allowed = mapping(mapping(choice).get("allowed_tools")) or mapping(choice)
        names = {_named(reference) for reference in objects(allowed.get("tools"))}
        tools = [tool for tool in tools if tool["name"] in names]
        choice = allowed.get("mode")
    members: Json = {"tools": tools}
    chosen = _choice(choice)
    if chat.get("parallel_tool_calls") is False and chosen != {"type": "none"}:
        chosen = {**(chosen or {"type": "auto"}), "disable_parallel_tool_use": True}
    return {**members, "tool_choice": chosen} if chosen else members


def _tool(tool: Json) -> Json:
    if tool.get("type") != "function":
        raise UnsupportedParameter(
            f"Anthropic's models take no tools of type {tool.get('type')!r}. Give functions.", param="tools"
        )
    function = mapping(tool.get("function"))
    schema = mapping(function.get("parameters"))
    return without_nulls({
        "name": function.get("name"),
        "description": function.get("description"),
        "input_schema": schema if "type" in schema else {"type": "object", "properties": {}, **schema},
        "strict": function.get("strict") or None,
        "cache_control": tool.get("cache_control") or function.get("cache_control"),
    })  # fmt: skip


def _choice(choice: Any) -> Json | None:
    match choice:
        case None | "auto":
            return None
        case "none":
            return {"type": "none"}
        case "required":
            return {"type": "any"}
        case {"type": "function"}:
            return {"type": "tool", "name": _named(choice)}
    raise UnsupportedParameter(f"Anthropic's models take no 'tool_choice' such as {choice!r}.", param="tool_choice")


def _named(reference: Json) -> Any:
    return mapping(reference.get("function")).get("name") or reference.get("name")
