"""`tool_choice` of a response as tools to offer and the `tool_choice` of a chat completion.

    none, auto, required                    as they are
    function, custom, mcp with a name       that one is forced
    mcp without a name, web_search, …       forced if it is one tool; of several, only these are offered, and one is
                                            required
    allowed_tools                           only these are offered; `mode` is `auto` or `required`

What is forced is forced in the first round only, or the model could never answer; later it may choose among all tools.
The tools of `allowed_tools` stay the only ones. A choice of a tool that was left out of the tools, because nobody here
runs tools of its type, is left out with it: the model chooses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from llama_stack.agent.entries import Item
from llama_stack.agent.tools.base import BoundTool
from llama_stack_api.errors import InvalidRequest

_Name: TypeAlias = tuple[str | None, ...]
_MODES = ("none", "auto", "required")
_NEEDED = ("function", "custom", "mcp", "namespace", "file_search", "web_search", "tool_search")
"""Types of references that must name a tool that is there."""


@dataclass(frozen=True, slots=True)
class ChatChoice:
    """`offered`: the tools that the model sees. `tool_choice` None is the provider's default, which is `auto`."""

    offered: tuple[BoundTool, ...]
    tool_choice: Any | None


def chat_choice(tool_choice: Any, tools: Sequence[BoundTool], *, first_round: bool) -> ChatChoice:
    """`tools`: those that may be offered, without the deferred. `InvalidRequest` for a tool that is not among them."""
    tools = tuple(tools)
    if tool_choice is None or isinstance(tool_choice, str):
        return _by_mode(tool_choice or "auto", tools, first_round=first_round)
    if not isinstance(tool_choice, dict):
        raise InvalidRequest("'tool_choice' is a string or an object.", param="tool_choice")
    if tool_choice.get("type") == "allowed_tools":
        allowed = tool_choice.get("allowed_tools") or tool_choice
        references = [reference for reference in allowed.get("tools") or () if isinstance(reference, dict)]
        kept = tuple(_chosen(references, tools))
        return _by_mode(str(allowed.get("mode") or "auto"), kept, first_round=first_round)
    return _forced(_chosen([tool_choice], tools) if first_round else (), tools)


def _by_mode(mode: str, tools: tuple[BoundTool, ...], *, first_round: bool) -> ChatChoice:
    if mode not in _MODES:
        raise InvalidRequest(f"'tool_choice' is one of {', '.join(_MODES)}, or an object.", param="tool_choice")
    if not tools or mode == "auto" or (mode == "required" and not first_round):
        return ChatChoice(tools, None)
    return ChatChoice(tools, mode)


def _forced(chosen: Sequence[BoundTool], tools: tuple[BoundTool, ...]) -> ChatChoice:
    if not chosen:
        return ChatChoice(tools, None)
    if len(chosen) == 1:
        return ChatChoice(tools, {"type": "function", "function": {"name": chosen[0].name}})
    return ChatChoice(tuple(chosen), "required")


def _chosen(references: Sequence[Item], tools: Sequence[BoundTool]) -> list[BoundTool]:
    """The tools that references mean; none for those of a type that nobody here runs. Requests choose how many there
    are of both, so each is looked at once."""
    names = [_names_of(tool) for tool in tools]
    there = set().union(*names)
    meant: set[_Name] = set()
    for reference in references:
        kind = _plain_type(reference.get("type"))
        found = _names_in(kind, reference)
        if kind in _NEEDED and there.isdisjoint(found):
            raise _not_there(kind, reference)
        meant |= found
    return [tool for tool, own in zip(tools, names, strict=True) if not meant.isdisjoint(own)]


def _names_of(tool: BoundTool) -> set[_Name]:
    """All that a tool can be meant by."""
    names: set[_Name] = {("type", _plain_type(tool.origin.get("type")))}
    if (caller := tool.caller) is not None:
        names |= {("model's", caller.kind, tool.name), ("namespace", caller.namespace)}
        names |= {("own", caller.kind, namespace, caller.name) for namespace in (None, caller.namespace)}
    if tool.label is not None:
        names |= {("mcp", tool.label, name) for name in (None, tool.bare_name)}
    return names


def _names_in(kind: str, reference: Item) -> set[_Name]:
    name = _name(kind, reference)
    if kind in ("function", "custom"):
        return {("model's", kind, name), ("own", kind, _text(reference.get("namespace")), name)}
    if kind == "mcp":
        return {("mcp", _text(reference.get("server_label")), name)}
    return {("namespace", name) if kind == "namespace" else ("type", kind)}


def _not_there(kind: str, reference: Item) -> InvalidRequest:
    name = _name(kind, reference) or reference.get("server_label")
    return InvalidRequest(
        f"'tool_choice' names a tool of type '{kind}'{f' named {name!r}' if name else ''}, which is not among the "
        "tools that the model may use.",
        param="tool_choice",
        code="invalid_value",
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _name(kind: str, reference: Item) -> str | None:
    inner = reference.get(kind)
    return _text(inner.get("name") if isinstance(inner, dict) else reference.get("name"))


def _plain_type(kind: Any) -> str:
    """`web_search` has aliases with dates and such."""
    return "web_search" if isinstance(kind, str) and kind.startswith("web_search") else str(kind)
