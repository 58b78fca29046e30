"""`tools` and `tool_choice` of a chat completion request as those of a Messages request."""

from __future__ import annotations

from typing import Any

from llama_stack.dialects.chat.requests import name_of, object_schema, offered_tools
from llama_stack.dialects.chat.values import Json, mapping, without_nulls
from llama_stack_api.errors import UnsupportedParameter


def tool_members(chat: Json) -> Json:
    """The members `tools` and `tool_choice`; none without tools. `UnsupportedParameter` for tools that are no
    functions."""
    offered, choice = offered_tools(chat)
    tools = [_tool(tool) for tool in offered]
    if not tools:
        return {}
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
    return without_nulls({
        "name": function.get("name"),
        "description": function.get("description"),
        "input_schema": object_schema(mapping(function.get("parameters"))),
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
            return {"type": "tool", "name": name_of(choice)}
    raise UnsupportedParameter(f"Anthropic's models take no 'tool_choice' such as {choice!r}.", param="tool_choice")
