"""The events of one call of the model on their way to the log: what depends on the answer as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from llama_stack.agent.emitter import Emitter
from llama_stack.agent.entries import Event, Item, new_id
from llama_stack.agent.state import CALLER_CALLS

ADDED = "response.output_item.added"
DONE = "response.output_item.done"


class Outgoing:
    """Messages and calls of the caller's tools are not said to be done before the answer is: what is done is meant, a
    client may act on a call at once, and an answer that breaks off is given again. What it thought until then stays:
    `finished`.

    `first_only` is for `parallel_tool_calls: false`, which some providers pay no heed to.
    """

    def __init__(self, emitter: Emitter, *, first_only: bool) -> None:
        self._emitter = emitter
        self._first_only = first_only
        self._calls: set[str] = set()
        self._left_out: set[str] = set()
        self._call_ids: dict[str, str] = {}
        self._held: list[Event] = []
        self._open: dict[str, Item] = {}
        self.finished: list[Item] = []

    def send(self, events: Iterable[Event]) -> None:
        for event in self._kept(events):
            if self._waits(event):
                self._held.append(event)
            else:
                self._emit(event)

    def finish(self) -> None:
        """The answer is complete."""
        held, self._held = self._held, []
        for event in held:
            self._emit(event)

    def cut(self, events: Iterable[Event]) -> None:
        """`events` end what is open. What was not sent of the ends of items becomes one that says so."""
        ends = list(self._kept(events))
        ended = {event["item"]["id"] for event in ends if event["type"] == DONE}
        held = {event["item"]["id"]: event["item"] for event in self._held if event["type"] == DONE}
        self._held.clear()
        left = [item for item in (self._open | held).values() if item["id"] not in ended]
        for event in [*({"type": DONE, "item": {**item, "status": "incomplete"}} for item in left), *ends]:
            self._emit(event)

    def renamed(self, item: Item) -> Item:
        """The item as it was sent."""
        call_id = self._call_ids.get(item["id"])
        return item if call_id is None else {**item, "call_id": call_id}

    def _kept(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            item = event.get("item")
            if item is not None and item["type"] in CALLER_CALLS:
                if event["type"] == ADDED:
                    self._begin(item)
                event = {**event, "item": self.renamed(item)}
            if _item_id(event) not in self._left_out:
                yield event

    def _begin(self, item: Item) -> None:
        if self._first_only and self._calls:
            self._left_out.add(item["id"])
        elif self._emitter.has_call(item["call_id"]):
            # Some providers number calls anew in each answer: after one that was cut off, this needs another id.
            self._call_ids[item["id"]] = new_id("call")
        self._calls.add(item["id"])

    def _waits(self, event: Event) -> bool:
        if event["type"] == DONE and event["item"]["type"] == "message":
            return True
        return _item_id(event) in self._calls and event["type"].endswith(".done")

    def _emit(self, event: Event) -> None:
        item = event.get("item")
        self._emitter.send([event])
        if item is None:
            return
        if event["type"] == ADDED:
            self._open[item["id"]] = item
            return
        self._open.pop(item["id"], None)
        if item["status"] != "incomplete":
            self.finished.append(item)


def _item_id(event: Event) -> str:
    item_id: str = event.get("item_id") or event["item"]["id"]
    return item_id
