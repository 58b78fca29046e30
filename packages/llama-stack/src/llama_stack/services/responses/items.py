"""The input of a request as items that can be kept: each with an id, and in the shape in which it is listed later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from llama_stack.agent.entries import PREFIXES, Entry, Item, new_id
from llama_stack.storage.sql.conversations import is_item_id
from llama_stack_api.errors import NotFound
from llama_stack_api.principal import Principal

WITH_STATUS = frozenset(
    {"message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output"}
)
"""Types whose items always have a `status` once they are stored; what a client sends is done."""

REFERENCE = "item_reference"

ID_CHARS_SHOWN_MAX = 100


class References(Protocol):
    """Where an item may be that a request only names."""

    async def find(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Entry]:
        """Those of the items that the principal has; the others are not among them."""
        ...


def items_of(given: str | list[Item] | None) -> list[Item]:
    """`given` is the `input` as JSON. References are left for `resolved`.

    An item keeps the id that it came with, unless that is taken in this input, or cannot be kept."""
    if given is None:
        return []
    if isinstance(given, str):
        given = [{"type": "message", "role": "user", "content": given}]
    taken: set[str] = set()
    return [_item(item, taken) for item in given]


async def resolved(
    items: Sequence[Item], before: Iterable[Entry], references: References, who: Principal
) -> list[Entry]:
    """The items as entries, references replaced by what they name: of `before`, or of any stored response.

    What is in `before` already is not said twice: a reference to it is left out. `NotFound` names the first id that is
    nowhere."""
    named = {item["id"]: place for place, item in enumerate(items) if item["type"] == REFERENCE}
    if not named:
        return [Entry(item) for item in items]
    known = {entry.item["id"] for entry in before}
    found = await references.find(who, [each for each in named if each not in known])
    entries = []
    for place, item in enumerate(items):
        if item["type"] != REFERENCE:
            entries.append(Entry(item))
        elif item["id"] in found:
            entries.append(found[item["id"]])
        elif item["id"] not in known:
            raise NotFound(
                f"There is no item {item['id'][:ID_CHARS_SHOWN_MAX]!r}. Items of responses with store false are not "
                "kept: send them whole.",
                param=f"input[{place}].id",
            )
    return entries


def _item(given: Item, taken: set[str]) -> Item:
    kind = given.get("type") or (REFERENCE if given.get("id") and "role" not in given else "message")
    if kind == REFERENCE:
        return {"type": REFERENCE, "id": given["id"]}
    own = given.get("id") or ""
    # The type of an item that we do not know is a word of the client's, and no part of an id.
    item_id = own if is_item_id(own) and own not in taken else new_id(kind if kind in PREFIXES else "item")
    taken.add(item_id)
    item = {**given, "type": kind, "id": item_id}
    if kind in WITH_STATUS:
        item["status"] = given.get("status") or "completed"
    if kind == "message":
        item["content"] = _parts(given["content"], given["role"])
    return item


def _parts(content: str | list[dict[str, Any]], role: str) -> list[dict[str, Any]]:
    if not isinstance(content, str):
        return [_whole(part) for part in content]
    if role == "assistant":
        return [_whole({"type": "output_text", "text": content})]
    return [{"type": "input_text", "text": content}]


def _whole(part: dict[str, Any]) -> dict[str, Any]:
    """With the fields that the contract requires of it, and clients leave out of what they send back."""
    if part.get("type") == "output_text":
        return {"annotations": [], "logprobs": [], **part}
    if part.get("type") == "input_image":
        return {"detail": "auto", **part}
    return part
