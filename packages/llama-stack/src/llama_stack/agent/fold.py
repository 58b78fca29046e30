"""What the committed log of a response says: which items are there, which are done, and what the open ones hold.

Items of the model that are open in the log of a run that is taken up again were cut off by the crash. They get their
ends (`cut_off`), keep their places, and are otherwise forgotten: the model is asked again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any, Final

import msgspec

from llama_stack.agent.entries import ITEM_ADDED, ITEM_DONE, Event, Item
from llama_stack.runs.model import Event as LoggedEvent

OF_MODEL: Final = frozenset({"message", "reasoning", "function_call", "custom_tool_call", "tool_search_call"})
FAILED_ONLY: Final = frozenset({"web_search_call"})
"""Items whose status knows no `incomplete`."""
WITHOUT_STATUS: Final = frozenset({"mcp_list_tools", "mcp_approval_request", "compaction"})

_PARTS: Final = frozenset({"content_part", "reasoning_summary_part"})
_MEMBERS: Final[Mapping[str, str]] = {
    "content_part": "content",
    "output_text": "content",
    "output_text.annotation": "content",
    "refusal": "content",
    "reasoning_text": "content",
    "reasoning_summary_part": "summary",
    "reasoning_summary_text": "summary",
    "function_call_arguments": "arguments",
    "mcp_call_arguments": "arguments",
    "custom_tool_call_input": "input",
}
"""Which member of an item events are about."""


class _Logged(msgspec.Struct):
    type: str
    output_index: int = -1
    item_id: str = ""
    content_index: int = 0
    summary_index: int = 0
    item: Item | None = None
    part: Item | None = None
    annotation: Item | None = None
    delta: Any = None
    logprobs: list[Item] | None = None


class LoggedItem:
    """An item between its `added` and its `done`; texts are kept in pieces until they are asked for."""

    def __init__(self, index: int, item: Item) -> None:
        self.index = index
        self._item = item
        self._parts: dict[tuple[str, int], Item] = {}
        self._pieces: dict[tuple[str, int], list[str]] = {}
        self._closed: set[tuple[str, int]] = set()

    @property
    def kind(self) -> str:
        return str(self._item.get("type"))

    def item(self) -> Item:
        """As it is now."""
        item = dict(self._item)
        for member in ("content", "summary"):
            parts = [self._part(key) for key in self._parts if key[0] == member]
            if parts:
                item[member] = parts
        for member in ("arguments", "input"):
            if (member, 0) in self._pieces:
                item[member] = "".join(self._pieces[member, 0])
        return item

    def feed(self, event: _Logged) -> None:
        what, _, change = event.type.removeprefix("response.").rpartition(".")
        member, index = _MEMBERS.get(what, ""), event.content_index
        if member == "summary":
            index = event.summary_index
        elif member in ("arguments", "input"):
            index = 0
        if what in _PARTS:
            self._parts[member, index] = event.part or {}
            if change == "done":
                self._closed.add((member, index))
        elif what == "output_text.annotation":
            self._parts[member, index].setdefault("annotations", []).append(event.annotation)
        elif member and change == "delta" and isinstance(event.delta, str):
            self._pieces.setdefault((member, index), []).append(event.delta)
            if event.logprobs:
                self._parts[member, index].setdefault("logprobs", []).extend(event.logprobs)

    def _part(self, key: tuple[str, int]) -> Item:
        part = self._parts[key]
        if key in self._closed or key not in self._pieces:
            return part
        member = "refusal" if part.get("type") == "refusal" else "text"
        return {**part, member: "".join(self._pieces[key])}


class Fold:
    """`done` are the items that are complete in the log, by id, as the client sees them; `places` says where each item
    stands in it."""

    def __init__(self) -> None:
        self.events = 0
        self.places: dict[str, int] = {}
        self.open: dict[str, LoggedItem] = {}
        self.done: dict[str, Item] = {}
        self.call_ids: set[str] = set()

    @classmethod
    async def of(cls, log: AsyncIterator[LoggedEvent]) -> Fold:
        fold, decoder = cls(), msgspec.json.Decoder(_Logged)
        async for event in log:
            fold.feed(decoder.decode(event.data))
        return fold

    def feed(self, event: _Logged) -> None:
        self.events += 1
        if event.type == ITEM_ADDED and event.item is not None:
            item_id = str(event.item["id"])
            self.places[item_id] = event.output_index
            self.open[item_id] = LoggedItem(event.output_index, event.item)
            self.call_ids |= call_ids_of(event.item)
        elif event.type == ITEM_DONE and event.item is not None:
            item_id = str(event.item["id"])
            self.open.pop(item_id, None)
            self.done[item_id] = event.item
        elif event.item_id in self.open:
            self.open[event.item_id].feed(event)

    def interrupted(self, known: Collection[str]) -> Mapping[str, LoggedItem]:
        """Open items of the model, unless they are among the `known`, which journalled results speak of."""
        return {item_id: item for item_id, item in self.open.items() if item.kind in OF_MODEL and item_id not in known}

    def finished(self, known: Collection[str]) -> list[Item]:
        """Items of the model that are complete although the answer that they were part of is not."""
        found = (item for item_id, item in self.done.items() if item["type"] in OF_MODEL and item_id not in known)
        return [item for item in found if item.get("status") != "incomplete"]


def call_ids_of(item: Item) -> set[str]:
    """The id that a call of the caller's tool goes by; of another item, none."""
    call_id = item.get("call_id")
    return set() if call_id is None else {call_id}


def cut_off(item: LoggedItem) -> Event:
    """The event that ends an item that will not be finished, with what it has."""
    whole = item.item()
    if item.kind not in WITHOUT_STATUS:
        whole["status"] = "failed" if item.kind in FAILED_ONLY else "incomplete"
    return {"type": ITEM_DONE, "item": whole}
