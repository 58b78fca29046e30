"""Items that clients send, in the shape in which they are kept and given back: each with an id, and with all that a
reader expects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel

from llama_stack.agent.entries import Item
from llama_stack.agent.ids import new_id
from llama_stack.services.item_tools import take_secrets, tools_of
from llama_stack.storage.sql.conversations import is_item_id
from llama_stack_api.base import WireModel
from llama_stack_api.errors import InvalidRequest

REFERENCE: Final = "item_reference"
NOT_KEPT: Final = (REFERENCE, "compaction_trigger")
"""What makes sense in the input of one response only."""


def kept_items(items: Sequence[BaseModel]) -> list[Item]:
    """Items of a conversation, without secrets. `InvalidRequest` for what is no item by itself."""
    kept = items_of(items)
    for number, item in enumerate(kept):
        if (kind := item["type"]) in NOT_KEPT:
            raise InvalidRequest(f"an item of type {kind!r} cannot be kept; send whole items", param=f"items[{number}]")
    take_secrets(tools_of(kept))
    return kept


def items_of(given: str | Sequence[BaseModel] | None, response_id: str = "") -> list[Item]:
    """The `input` of that response as items, with the secrets that it has. References stay what they are.

    An item keeps the id that it came with, unless that is taken among these, or cannot be kept."""
    if given is None:
        return []
    if isinstance(given, str):
        message = {"type": "message", "role": "user", "content": given}
        return [_completed(message, new_id("message", response_id), has_status=True)]
    taken: set[str] = set()
    return [_item(each, taken, response_id) for each in given]


def _item(model: BaseModel, taken: set[str], response_id: str) -> Item:
    _mean_defaults(model)
    sent = model.model_dump(mode="json", exclude_unset=True)
    own = sent.get("id") or ""
    kind = sent.get("type") or ("message" if "role" in sent else REFERENCE)
    if kind == REFERENCE:
        return {"type": REFERENCE, "id": own}
    item_id = own if is_item_id(own) and own not in taken else new_id(kind, response_id)
    taken.add(item_id)
    return _completed(
        {**sent, "type": kind}, item_id, has_status=kind == "message" or "status" in type(model).model_fields
    )


def _mean_defaults(value: Any) -> None:
    """As if the client had sent the defaults that the types state, so that they are written too."""
    if isinstance(value, WireModel):
        value.model_fields_set.update(value.__meant_defaults__)
        for _, inner in value:
            _mean_defaults(inner)
    elif isinstance(value, list):
        for inner in value:
            _mean_defaults(inner)


def _completed(sent: Item, item_id: str, *, has_status: bool) -> Item:
    item = {**sent, "id": item_id}
    if has_status and item.get("status") is None:
        item["status"] = "failed" if item.get("error") else "completed"
    if item["type"] == "message" and isinstance(item["content"], str):
        text_type = "output_text" if item["role"] == "assistant" else "input_text"
        item["content"] = [{"type": text_type, "text": item["content"]}]
    for part in _parts(item):
        _complete_part(part)
    _complete_fields(item)
    return item


def _parts(item: Item) -> list[Item]:
    """Of a message, or of what a tool gave."""
    content = item.get("content", item.get("output"))
    parts = content if isinstance(content, list) else [content]
    return [part for part in parts if isinstance(part, dict)]


def _complete_part(part: Item) -> None:
    """What the contract requires, and clients leave out of what they send back."""
    match part.get("type"):
        case "output_text":
            part.setdefault("annotations", [])
            part.setdefault("logprobs", [])
        case "input_image" | "computer_screenshot" if part.get("detail") is None:
            part["detail"] = "auto"


def _complete_fields(item: Item) -> None:
    """What the contract requires, where the type alone does not say it."""
    match item["type"]:
        case "tool_search_call" | "tool_search_output":
            item.setdefault("execution", "client" if item.get("call_id") else "server")
        case "web_search_call":
            item.setdefault("action", {"type": "search"})
        case "mcp_approval_response":
            item.setdefault("request_id", item["approval_request_id"])
        case "mcp_call" if isinstance(item.get("error"), str):
            item["error"] = {"type": "mcp_tool_execution_error", "content": item["error"]}
        case "code_interpreter_call":
            item.setdefault("container_id", "")
