"""The numbered events of a response, over the journal's log of its run."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from llama_stack.agent.entries import ITEM_ADDED, ITEM_DONE, Event, Item
from llama_stack.agent.fold import Fold, call_ids_of, cut_off
from llama_stack.agent.include import visible
from llama_stack.runs.handle import RunHandle


class Emitter:
    """Gives events their `sequence_number` and `output_index`, and takes out of items what the client did not ask for.

    Indices count the items of the log, so that those that were cut off keep theirs. What is sent together is committed
    together. `fold` is what earlier attempts have left in the log.
    """

    def __init__(self, run: RunHandle, include: Collection[str], fold: Fold) -> None:
        self.response_id = run.run.id
        self._run = run
        self._include = include
        self._fold = fold
        self._places = dict(fold.places)
        self._done = set(fold.done)
        self._call_ids = set(fold.call_ids)
        self._next_place = max(fold.places.values(), default=-1) + 1
        self._encode = msgspec.json.Encoder().encode

    def is_open(self, item_id: str) -> bool:
        """It was added, perhaps before a crash."""
        return item_id in self._places

    def is_done(self, item_id: str) -> bool:
        return item_id in self._done

    def has_call(self, call_id: str) -> bool:
        """An item of the log has this `call_id`: one that was cut off, if another is about to get it."""
        return call_id in self._call_ids

    def send(self, events: Iterable[Event]) -> None:
        """All of them at once: a crash leaves all of them in the log, or none."""
        for event in events:
            self._run.recorder.emit(self._encode(self._numbered(event)))

    async def room(self) -> None:
        """Until a reader or the store has caught up."""
        await self._run.recorder.room()

    def open(self, item: Item, announced: Iterable[Event] = ()) -> None:
        """`item` as it begins, with the events that follow, which lack its id. Not again if it is there."""
        if not self.is_open(item["id"]):
            of_item = ({**event, "item_id": item["id"]} for event in announced)
            self.send([{"type": ITEM_ADDED, "item": item}, *of_item])

    def close(self, item: Item, concluded: Iterable[Event] = ()) -> None:
        """`item` as it ends, with the events before that. Not again if it is done."""
        if not self.is_done(item["id"]):
            of_item = ({**event, "item_id": item["id"]} for event in concluded)
            self.send([*of_item, {"type": ITEM_DONE, "item": item}])

    def whole(self, item: Item) -> None:
        """An item that is there at once."""
        self.open({**item, "status": "in_progress"} if "status" in item else item)
        self.close(item)

    def end_interrupted(self, known: Collection[str]) -> None:
        """End what the model had begun when it was interrupted: all that journalled results do not know."""
        for item_id, item in self._fold.interrupted(known).items():
            if not self.is_done(item_id):
                self.send([cut_off(item)])

    def _numbered(self, event: Event) -> Event:
        if event["type"] in (ITEM_ADDED, ITEM_DONE):
            item = event["item"]
            if event["type"] == ITEM_ADDED:
                self._places[item["id"]] = self._next_place
                self._call_ids |= call_ids_of(item)
                self._next_place += 1
            else:
                self._done.add(item["id"])
            event["output_index"] = self._places[item["id"]]
            event["item"] = visible(item, self._include)
        elif "item_id" in event:
            event["output_index"] = self._places[event["item_id"]]
        event["sequence_number"] = self._run.next_event
        return event
