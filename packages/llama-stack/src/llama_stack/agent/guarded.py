"""What the model says under guardrails: held back until it was checked. Text goes out in windows; a thought, and a call
of a tool of the caller's, when it is whole. What a shield redacts is redacted in all events and items."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from llama_stack.agent.chat.open_items import SealThought
from llama_stack.agent.entries import ITEM_ADDED, ITEM_DONE, Event, Item, ModelCall
from llama_stack.agent.guardrails import Guardrails, OutputGuard
from llama_stack.agent.output_guard import common_chars
from llama_stack.agent.ports import Violation

TEXT = "response.output_text."
PART_DONE = "response.content_part.done"


class Refused(Exception):
    """What a shield says of the message `item_id`; `shown` of its last text was let through. With a `place`: of the
    item that would have stood there, of which nothing was."""

    def __init__(self, message: str, item_id: str, shown: str = "", *, place: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.item_id = item_id
        self.shown = shown
        self.place = place


class GuardedEvents:
    """The events of one call of the model as they may be sent: text comes later, or not at all. `seal` makes the
    `encrypted_content` of reasoning."""

    def __init__(self, guardrails: Guardrails, seal: SealThought | None = None) -> None:
        self._guardrails = guardrails
        self._seal = seal
        self._parts: dict[tuple[str, int], _Part] = {}
        self._held: dict[str, list[Event]] = {}
        """By item, in the order in which they were opened."""
        self._redacted: dict[str, Item] = {}

    async def feed(self, events: Iterable[Event], allowed: list[Event]) -> None:
        """Adds what may be sent to `allowed`. Raises `Refused`; nothing more may be fed after it."""
        for event in events:
            item_id = event.get("item_id") or event["item"]["id"]
            if event["type"] == ITEM_ADDED and event["item"]["type"] != "message":
                self._held[item_id] = []
            if item_id in self._held:
                self._held[item_id].append(event)
                await self._release(allowed)
            elif event["type"].startswith(TEXT):
                await self._part(event).feed(event, allowed)
            else:
                allowed.append(self._as_shown(event))

    def shown(self, item: Item) -> Item:
        """The item as it was let through."""
        if item["type"] != "message":
            return self._redacted.get(item["id"], item)
        content = [self._shown_part(item["id"], index, part) for index, part in enumerate(item["content"])]
        return {**item, "content": content}

    def all_shown(self, events: Iterable[Event]) -> list[Event]:
        """Events that were made of what was let through, after the rest."""
        return [self._as_shown(event) for event in events]

    def cut(self, events: Iterable[Event]) -> list[Event]:
        """The ends of what was cut off, without the text that was held back."""
        return [self._cut(event) if event["type"] == ITEM_DONE else event for event in events]

    def _part(self, event: Event) -> _Part:
        key = event["item_id"], event["content_index"]
        if key not in self._parts:
            self._parts[key] = _Part(self._guardrails.output())
        return self._parts[key]

    def _shown_part(self, item_id: str, index: int, part: Item) -> Item:
        guarded = self._parts.get((item_id, index))
        return part if guarded is None else guarded.of(part)

    def _as_shown(self, event: Event) -> Event:
        if event["type"] == ITEM_DONE:
            return {**event, "item": self.shown(event["item"])}
        if event["type"] == PART_DONE:
            return {**event, "part": self._shown_part(event["item_id"], event["content_index"], event["part"])}
        return event

    async def _release(self, allowed: list[Event]) -> None:
        """Items that are whole, in their order."""
        for item_id, held in list(self._held.items()):
            done = held[-1]
            if done["type"] != ITEM_DONE:
                break
            left = await self._left(done["item"])
            if isinstance(left, Violation):
                raise Refused(left.message, item_id, place=done["output_index"])
            events = self._held.pop(item_id)
            if left != done["item"]:
                self._redacted[item_id] = left
                events = list(_rewritten(events, left))
            allowed += events

    async def _left(self, item: Item) -> Violation | Item:
        if item["type"] == "reasoning":
            return await self._thought_left(item)
        name = "arguments" if "arguments" in item else "input"
        said = item[name]
        arguments = said if isinstance(said, str) else msgspec.json.encode(said).decode()
        call = await self._guardrails.arguments(ModelCall(item["call_id"], item.get("name", ""), arguments))
        if isinstance(call, Violation) or call.arguments == arguments:
            return call if isinstance(call, Violation) else item
        return {**item, name: call.arguments if isinstance(said, str) else msgspec.json.decode(call.arguments)}

    async def _thought_left(self, item: Item) -> Violation | Item:
        said = [part["text"] for part in (*item["content"], *item["summary"])]
        whole = "\n".join(said)
        left = await self._guardrails.answer(whole)
        if isinstance(left, Violation) or left == whole:
            return left if isinstance(left, Violation) else item
        members: dict[str, list[Item]] = {"content": [], "summary": []}
        for name, parts in members.items():
            for part in item[name]:
                text = await self._guardrails.answer(part["text"])
                if isinstance(text, Violation):
                    return text
                parts.append({**part, "text": text})
        thought = "".join(part["text"] for part in members["content"])
        sealed = {"encrypted_content": self._seal(thought, [])} if self._seal and "encrypted_content" in item else {}
        return {**item, **members, **sealed}

    def _cut(self, event: Event) -> Event:
        item = event["item"]
        if item["type"] != "message":
            return event
        content = [
            {**part, "text": self._parts[item["id"], index].shown, "annotations": [], "logprobs": []}
            if (item["id"], index) in self._parts
            else part
            for index, part in enumerate(item["content"])
        ]
        return {**event, "item": {**item, "content": content}}


class _Part:
    def __init__(self, guard: OutputGuard) -> None:
        self._guard = guard
        self._shown: list[str] = []
        self._annotations: list[Event] = []

    @property
    def shown(self) -> str:
        return "".join(self._shown)

    def of(self, part: Item) -> Item:
        """The part as it was let through. Of the annotations, those of what comes before the first redaction."""
        if not self._guard.redacted:
            return part
        alike = common_chars(part["text"], self.shown)
        kept = [each for each in part["annotations"] if _end(each) <= alike]
        return {**part, "text": self.shown, "annotations": kept, "logprobs": []}

    async def feed(self, event: Event, allowed: list[Event]) -> None:
        match event["type"].removeprefix(TEXT):
            case "delta":
                self._release(await self._guard.feed(event["delta"]), event, allowed)
            case "annotation.added":
                self._annotations.append(event)
            case "done":
                self._release(await self._guard.finish(), event, allowed)
                made = self.of({**event, "annotations": [each["annotation"] for each in self._annotations]})
                allowed += self._annotations[: len(made.pop("annotations"))]
                allowed.append(made)

    def _release(self, text: str | Violation, event: Event, allowed: list[Event]) -> None:
        if isinstance(text, Violation):
            raise Refused(text.message, event["item_id"], self.shown)
        if text:
            self._shown.append(text)
            at = {name: event[name] for name in ("item_id", "output_index", "content_index")}
            allowed.append({"type": f"{TEXT}delta", **at, "delta": text, "logprobs": []})


def _end(annotation: Item) -> int:
    """Where in the text it ends; they come in that order."""
    return int(annotation.get("end_index") or annotation.get("index") or 0)


def _rewritten(events: Sequence[Event], item: Item) -> Iterator[Event]:
    """The events of an item that turned out to be another: one delta for each of its texts."""
    begun = set()
    for event in events:
        kind, place = event["type"], (event.get("content_index"), event.get("summary_index"))
        if kind == ITEM_DONE:
            yield {**event, "item": item}
        elif kind.endswith(".delta"):
            if (kind, place) not in begun:
                begun.add((kind, place))
                yield {**event, "delta": _text_at(event, item)}
        elif kind.endswith(".done"):
            yield _done(event, item)
        else:
            yield event


def _done(event: Event, item: Item) -> Event:
    text = _text_at(event, item)
    if "part" in event:
        return {**event, "part": {**event["part"], "text": text}}
    return {name: text if name in ("text", "arguments", "input") else value for name, value in event.items()}


def _text_at(event: Event, item: Item) -> str:
    text: Any
    if "summary_index" in event:
        text = item["summary"][event["summary_index"]]["text"]
    elif "content_index" in event:
        text = item["content"][event["content_index"]]["text"]
    else:
        text = item["arguments"] if "arguments" in item else item["input"]
    return str(text)


def refusal(item_id: str, message: str) -> tuple[Item, list[Event]]:
    """A message that says no, and its events between `added` and `done`."""
    part = {"type": "refusal", "refusal": message}
    item = {"id": item_id, "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    at = {"item_id": item_id, "content_index": 0}
    return item, [
        {"type": "response.content_part.added", **at, "part": {**part, "refusal": ""}},
        {"type": "response.refusal.delta", **at, "delta": message},
        {"type": "response.refusal.done", **at, "refusal": message},
        {"type": "response.content_part.done", **at, "part": part},
    ]
