"""The events of one call of the model on their way to the log: what depends on the answer as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from llama_stack.agent.emitter import Emitter
from llama_stack.agent.entries import ITEM_ADDED, ITEM_DONE, Event, Item
from llama_stack.agent.ids import random_id
from llama_stack.agent.state import CALLER_CALLS

ARGUMENTS_DELTA: Final = "response.function_call_arguments.delta"


class Outgoing:
    """Messages and calls of the caller's tools are not said to be done before the answer is: what is done is meant, and
    an answer that breaks off is given again. What it thought until then stays: `finished`.

    Of the arguments of such a call, the last piece waits for the end of the answer too. Some clients run a call that
    has ended, although its end says `incomplete`; they cannot run half of a JSON object. What is no JSON waits whole.

    `first_only` is for `parallel_tool_calls: false`, which some providers pay no heed to.
    """

    def __init__(self, emitter: Emitter, *, first_only: bool) -> None:
        self._emitter = emitter
        self._first_only = first_only
        self._calls: set[str] = set()
        self._left_out: set[str] = set()
        self._call_ids: dict[str, str] = {}
        self._waiting: dict[str, list[Event]] = {}
        """What was not sent yet, by item, in the order of items."""
        self._unopened: dict[str, Item] = {}
        """Items of which nothing was sent."""
        self._open: dict[str, Item] = {}
        self._arguments: dict[str, list[str]] = {}
        """What was sent of them."""
        self.finished: list[Item] = []

    def send(self, events: Iterable[Event]) -> None:
        for event in self._kept(events):
            item_id = _item_id(event)
            if event["type"] == ITEM_ADDED:
                self._unopened[item_id] = event["item"]
            queue = self._waiting.setdefault(item_id, [])
            queue.append(event)
            ready = self._ready(item_id, queue)
            for each in queue[:ready]:
                self._emit(each)
            del queue[:ready]

    def finish(self) -> None:
        """The answer is complete."""
        for queue in self._waiting.values():
            for event in queue:
                self._emit(event)
        self._waiting.clear()

    def cut(self, events: Iterable[Event]) -> None:
        """`events` end what is open. Each item that was sent, and not its end, gets one that says so."""
        for event in self._kept(events):
            self._waiting.setdefault(_item_id(event), []).append(event)
        for item_id, opened in list(self._open.items()):
            ends = [event["item"] for event in self._waiting[item_id] if event["type"] == ITEM_DONE]
            item = {**(ends[-1] if ends else opened), "status": "incomplete"}
            if item_id in self._calls:
                item["arguments"] = "".join(self._arguments.get(item_id, ()))
            self._emit({"type": ITEM_DONE, "item": item})
        self._waiting.clear()

    def _ready(self, item_id: str, queue: list[Event]) -> int:
        """How many of the events that wait may go. Items open in their order."""
        if item_id in self._unopened and next(iter(self._unopened)) != item_id:
            return 0
        last = queue[-1]
        if item_id not in self._calls:
            return 0 if last["type"] == ITEM_DONE and last["item"]["type"] == "message" else len(queue)
        more = last["type"] == ARGUMENTS_DELTA and last["delta"].strip()
        return len(queue) - 1 if more and (len(queue) > 2 or item_id not in self._unopened) else 0

    def renamed(self, item: Item) -> Item:
        """The item as it was sent."""
        call_id = self._call_ids.get(item["id"])
        return item if call_id is None else {**item, "call_id": call_id}

    def _kept(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            item = event.get("item")
            if item is not None and item["type"] in CALLER_CALLS:
                if event["type"] == ITEM_ADDED:
                    self._begin(item)
                event = {**event, "item": self.renamed(item)}
            if _item_id(event) not in self._left_out:
                yield event

    def _begin(self, item: Item) -> None:
        if self._first_only and self._calls:
            self._left_out.add(item["id"])
        elif self._emitter.has_call(item["call_id"]):
            # Some providers number calls anew in each answer: after one that was cut off, this needs another id.
            self._call_ids[item["id"]] = random_id("call")
        self._calls.add(item["id"])

    def _emit(self, event: Event) -> None:
        item = event.get("item")
        self._emitter.send([event])
        if event["type"] == ARGUMENTS_DELTA:
            self._arguments.setdefault(event["item_id"], []).append(event["delta"])
        if item is None:
            return
        if event["type"] == ITEM_ADDED:
            del self._unopened[item["id"]]
            self._open[item["id"]] = item
            return
        self._open.pop(item["id"], None)
        if item["status"] != "incomplete":
            self.finished.append(item)


def _item_id(event: Event) -> str:
    item_id: str = event.get("item_id") or event["item"]["id"]
    return item_id
