"""Items that clients send, in the shape in which they are kept and given back: with all that a reader expects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from llama_stack.agent.entries import Item, new_id
from llama_stack.services.responses.items import items_of
from llama_stack.storage.sql.conversations import is_item_id
from llama_stack_api.base import WireModel
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.openai.responses.item_base import BaseItem

NOT_KEPT = ("item_reference", "compaction_trigger")
"""What makes sense in the input of one response only."""
WITH_TOOLS = ("additional_tools", "tool_search_output")
MCP_SECRETS = ("authorization", "headers")


def kept_items(items: Sequence[BaseModel]) -> list[Item]:
    """With ids, and the defaults of their types filled in. `InvalidRequest` for what is no item by itself."""
    for number, item in enumerate(items):
        kind = getattr(item, "type", None)
        if kind in NOT_KEPT:
            raise InvalidRequest(f"an item of type {kind!r} cannot be kept; send whole items", param=f"items[{number}]")
    return [_without_secrets(item) for item in whole_items(items)]


def whole_items(items: Sequence[BaseModel]) -> list[Item]:
    """As they were sent, secrets and references too, with ids and defaults."""
    for item in items:
        _mean_defaults(item)
    dumped = [item.model_dump(mode="json", exclude_unset=True) for item in items]
    return [
        _completed(item, has_status=isinstance(model, BaseItem) and "status" in type(model).model_fields)
        for model, item in zip(items, items_of(dumped), strict=True)
    ]


def _mean_defaults(value: Any) -> None:
    """As if the client had sent the defaults that the types state, so that they are written too."""
    if isinstance(value, WireModel):
        value.model_fields_set.update(value.__meant_defaults__)
        for _, inner in value:
            _mean_defaults(inner)
    elif isinstance(value, list):
        for inner in value:
            _mean_defaults(inner)


def _completed(item: Item, *, has_status: bool) -> Item:
    if not is_item_id(item["id"]):
        item["id"] = new_id("item")  # its type is a word of the client's, and no part of an id
    if has_status and item.get("status") is None:
        item["status"] = "failed" if item.get("error") else "completed"
    for part in _parts(item):
        _complete_part(part)
    _complete_fields(item)
    return item


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


def _complete_part(part: dict[str, Any]) -> None:
    if part.get("type") in ("input_image", "computer_screenshot") and part.get("detail") is None:
        part["detail"] = "auto"


def _without_secrets(item: Item) -> Item:
    for tool in item["tools"] if item["type"] in WITH_TOOLS else ():
        for secret in MCP_SECRETS if tool.get("type") == "mcp" else ():
            tool.pop(secret, None)
    return item


def _parts(item: Item) -> list[dict[str, Any]]:
    """Of a message, or of what a tool gave."""
    content = item.get("content", item.get("output"))
    parts = content if isinstance(content, list) else [content]
    return [part for part in parts if isinstance(part, dict)]
