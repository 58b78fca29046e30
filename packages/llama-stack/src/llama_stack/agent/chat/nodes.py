"""Items as what a chat is made of: what was said and thought, calls, and their results.

Items of kinds that no reader is for are kept by one rule, so that a conversation from elsewhere goes on here:
- `x_call`, or what has a `call_id`, is a call of a function `x` with its other members as arguments; what it holds of
  `output`, `outputs`, `result` or `results` is the result;
- `x_output` (`output` or `result`) is the result of the call of its `call_id`;
- what has a `role` and `content` is a message; all else is shown as JSON in a message of the user, unless there is
  nothing in it that can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from llama_stack.agent.chat.custom_input import INPUT
from llama_stack.agent.chat.parts import Part, as_json, as_text, chat_parts, result_parts
from llama_stack.agent.entries import Entry, Item
from llama_stack.agent.seals import Unseal, opened_thought
from llama_stack.agent.tools.names import model_name, safe_name

SUMMARY: Final = "Summary of the conversation so far:\n\n"
_ENVELOPE: Final = frozenset({"type", "id", "status", "call_id", "caller", "created_by", "encrypted_content"})
_RESULTS: Final = ("output", "outputs", "result", "results")
_ROLES: Final[Mapping[str, str]] = {"assistant": "assistant", "system": "system", "developer": "system"}
"""Providers that know no `developer` are many; whoever is unknown is a user."""


@dataclass(slots=True)
class Said:
    role: str
    parts: list[Part]


@dataclass(slots=True)
class Thought:
    """`blocks` are what its provider signed, as `thinking_blocks` of a message have it."""

    text: str
    blocks: list[Item] = field(default_factory=list)


@dataclass(slots=True)
class Called:
    """`request` is the id of the approval request that this is; `approved_by` that which it was approved by.
    `together`: made in one breath with the call before it. `at_once`: it came with its result."""

    id: str
    name: str
    arguments: str
    result: list[Part] | None = None
    request: str | None = None
    approved_by: str | None = None
    together: bool = False
    at_once: bool = field(init=False)

    def __post_init__(self) -> None:
        self.at_once = self.result is not None


@dataclass(slots=True)
class Answered:
    call_id: str
    parts: list[Part]
    name: str


@dataclass(slots=True)
class Verdict:
    request: str
    approve: bool
    reason: str | None


@dataclass(slots=True)
class RoundOver:
    """Here results came in: a call after this is of another round."""


Node: TypeAlias = Said | Thought | Called | Answered | Verdict | RoundOver


def nodes_of(entry: Entry, unseal: Unseal) -> Iterator[Node]:
    item, call = entry.item, entry.call
    if call is not None:
        yield Called(
            call.id,
            call.name,
            call.arguments,
            result=None if entry.shown is None else result_parts(entry.shown),
            request=item.get("id") if item.get("type") == "mcp_approval_request" else None,
            approved_by=item.get("approval_request_id"),
            together=entry.together,
        )
        return
    kind = item.get("type", "message")
    if kind == "reasoning":
        yield from _thought(item, unseal)
    elif kind == "compaction":
        yield from _summary(item, unseal)
    elif kind not in _SILENT:
        node = _READERS.get(kind, _other)(item)
        if node is not None:
            yield node


def _thought(item: Item, unseal: Unseal) -> Iterator[Node]:
    sealed = item.get("encrypted_content")
    text, blocks = opened_thought(sealed, unseal) if sealed else ("", [])
    text = _readable(item) or text
    if text or blocks:
        yield Thought(text, blocks)


def _summary(item: Item, unseal: Unseal) -> Iterator[Node]:
    sealed = item.get("encrypted_content")
    text = _readable(item) or (unseal("compaction", sealed) if sealed else None)
    if text:
        yield Said("user", chat_parts(SUMMARY + text))


def _readable(item: Item) -> str:
    return "\n".join(part["text"] for part in item.get("content") or () if part.get("text"))


def _message(item: Item) -> Node:
    return Said(_ROLES.get(str(item.get("role")), "user"), chat_parts(item.get("content")))


def _function_call(item: Item) -> Node:
    return Called(item["call_id"], model_name(item["name"], item.get("namespace")), item.get("arguments") or "")


def _custom_tool_call(item: Item) -> Node:
    arguments = as_json({INPUT: item.get("input") or ""})
    return Called(item["call_id"], model_name(item["name"], item.get("namespace")), arguments)


def _output(item: Item) -> Node:
    name = item.get("name")
    named = model_name(name, item.get("namespace")) if name else "unknown_tool"
    return Answered(item.get("call_id") or item.get("id") or "", result_parts(item.get("output")), named)


def _mcp_call(item: Item) -> Node:
    failed, output = item.get("error"), item.get("output")
    shown = output if failed is None else f"Error: {_message_of(failed)}"
    result = None if shown is None else result_parts(shown)
    name = safe_name(item.get("server_label") or "mcp", item["name"])
    approved_by = item.get("approval_request_id")
    arguments = item.get("arguments") or ""
    return Called(item.get("id") or approved_by or name, name, arguments, result, approved_by=approved_by)


def _message_of(error: Any) -> str:
    if isinstance(error, dict):
        return as_text(error.get("message") or error.get("content") or error)
    return as_text(error)


def _approval_request(item: Item) -> Node:
    name = safe_name(item.get("server_label") or "mcp", item["name"])
    return Called(item.get("id") or name, name, item.get("arguments") or "", request=item.get("id"))


def _approval_response(item: Item) -> Node:
    return Verdict(item["approval_request_id"], bool(item.get("approve")), item.get("reason"))


def _file_search_call(item: Item) -> Node | None:
    results = item.get("results")
    if results is None:
        return None
    found = [f"{result.get('filename') or result.get('file_id') or 'file'}:\n{result.get('text') or ''}"
             for result in results]  # fmt: skip
    arguments = as_json({"queries": item.get("queries") or []})
    text = "\n\n".join(found) or "Nothing was found."
    return Called(item.get("id") or "file_search", "file_search", arguments, result_parts(text))


def _tool_search_call(item: Item) -> Node | None:
    """Of the caller's searches; one that the server ran has no message without its entry's `call`."""
    if not item.get("call_id"):
        return None
    arguments = item.get("arguments")
    return Called(item["call_id"], "tool_search", arguments if isinstance(arguments, str) else as_json(arguments))


def _tool_search_output(item: Item) -> Node | None:
    if not item.get("call_id") or item.get("execution") == "server":
        return None
    found = [{"name": name, "description": tool.get("description")}
             for tool in item.get("tools") or () for name in _names(tool)]  # fmt: skip
    return Answered(item["call_id"], result_parts(as_json({"tools": found})), "tool_search")


def _names(tool: Item) -> Iterator[str]:
    name = tool.get("name") or tool.get("server_label") or str(tool.get("type"))
    if tool.get("type") != "namespace":
        yield model_name(name)
        return
    for inner in tool.get("tools") or ():
        yield model_name(str(inner.get("name")), name)


def _image_generation_call(item: Item) -> Node:
    made = item.get("result")
    image = [{"type": "input_image", "image_url": f"data:image/png;base64,{made}"}] if made else []
    return Called(item.get("id") or "image_generation", "image_generation", "{}", result_parts(image))


def _other(item: Item) -> Node | None:
    kind = str(item.get("type"))
    call_id = item.get("call_id")
    members = {name: value for name, value in item.items() if name not in _ENVELOPE and value is not None}
    held = next((name for name in _RESULTS if name in members), None)
    if kind.endswith("_output"):
        return Answered(call_id or item.get("id") or "", result_parts(members[held] if held else members), kind)
    if kind.endswith("_call") or call_id:
        name = model_name(kind.removesuffix("_call"))
        result = result_parts(members.pop(held)) if held else None
        return Called(call_id or item.get("id") or name, name, as_json(members), result)
    if "role" in item and "content" in item:
        return _message(item)
    return Said("user", chat_parts(as_json({"type": kind, **members}))) if members else None


_SILENT: Final = frozenset({
    "web_search_call", "mcp_list_tools", "additional_tools", "item_reference", "compaction_trigger",
})  # fmt: skip
"""Items that say nothing to the model: what a search found is in the answer, and tools are offered, not told."""

_READERS: Final[Mapping[str, Callable[[Item], Node | None]]] = {
    "message": _message,
    "function_call": _function_call,
    "function_call_output": _output,
    "custom_tool_call": _custom_tool_call,
    "custom_tool_call_output": _output,
    "tool_search_call": _tool_search_call,
    "tool_search_output": _tool_search_output,
    "mcp_call": _mcp_call,
    "mcp_approval_request": _approval_request,
    "mcp_approval_response": _approval_response,
    "file_search_call": _file_search_call,
    "image_generation_call": _image_generation_call,
}
