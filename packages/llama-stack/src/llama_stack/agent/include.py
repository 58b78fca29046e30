"""What of an item a client sees only if its `include` names it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from llama_stack.agent.entries import Item


def visible(item: Item, include: Collection[str]) -> Item:
    """The item as a client sees it; it is not changed itself. Values of `include` that nobody knows have no effect."""
    match item.get("type"):
        case "message" | None:
            return _message(item, include)
        case "reasoning":
            return _without(item, "encrypted_content", "reasoning.encrypted_content" in include)
        case "file_search_call":
            return _without(item, "results", "file_search_call.results" in include)
        case "web_search_call":
            item = _without(item, "results", "web_search_call.results" in include)
            return _inner(item, "action", "sources", "web_search_call.action.sources" in include)
        case "code_interpreter_call":
            return _without(item, "outputs", "code_interpreter_call.outputs" in include)
        case "computer_call_output":
            return _inner(item, "output", "image_url", "computer_call_output.output.image_url" in include)
    return item


def _message(item: Item, include: Collection[str]) -> Item:
    content = item.get("content")
    if not isinstance(content, list):
        return item
    shows_logprobs = "message.output_text.logprobs" in include
    shows_images = "message.input_image.image_url" in include
    parts = [_part(part, shows_logprobs=shows_logprobs, shows_images=shows_images) for part in content]
    return {**item, "content": parts}


def _part(part: Any, *, shows_logprobs: bool, shows_images: bool) -> Any:
    match part:
        case {"type": "output_text", "logprobs": [_, *_]} if not shows_logprobs:
            return {**part, "logprobs": []}
        case {"type": "input_image"}:
            return _without(part, "image_url", shows_images)
    return part


def _inner(item: Item, name: str, member: str, shown: bool) -> Item:
    inner = item.get(name)
    return {**item, name: _without(inner, member, shown)} if isinstance(inner, dict) else item


def _without(item: Item, member: str, shown: bool) -> Item:
    return item if shown or member not in item else {name: value for name, value in item.items() if name != member}
