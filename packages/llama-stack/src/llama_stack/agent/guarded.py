"""What the model says under guardrails: held back until it was checked. Text goes out in windows; a thought, and a call
of a tool of the caller's, when it is whole."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from llama_stack.agent.entries import ITEM_ADDED, ITEM_DONE, Event, Item, ModelCall
from llama_stack.agent.guardrails import Guardrails, OutputGuard
from llama_stack.agent.ports import Violation

TEXT = "response.output_text."


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
    """The events of one call of the model as they may be sent: text comes later, or not at all."""

    def __init__(self, guardrails: Guardrails) -> None:
        self._guardrails = guardrails
        self._parts: dict[tuple[str, int], _Part] = {}
        self._held: dict[str, list[Event]] = {}
        """By item, in the order in which they were opened."""

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
                allowed.append(event)

    def _part(self, event: Event) -> _Part:
        key = event["item_id"], event["content_index"]
        if key not in self._parts:
            self._parts[key] = _Part(self._guardrails.output())
        return self._parts[key]

    async def _release(self, allowed: list[Event]) -> None:
        """Items that are whole, in their order."""
        for item_id, held in list(self._held.items()):
            done = held[-1]
            if done["type"] != ITEM_DONE:
                break
            violation = await self._violation(done["item"])
            if violation is not None:
                raise Refused(violation.message, item_id, place=done["output_index"])
            allowed += self._held.pop(item_id)

    async def _violation(self, item: Item) -> Violation | None:
        if item["type"] == "reasoning":
            said = [part["text"] for part in (*item["content"], *item["summary"])]
            return await self._guardrails.answer("\n".join(said))
        said = item["arguments"] if "arguments" in item else item["input"]
        arguments = said if isinstance(said, str) else msgspec.json.encode(said).decode()
        return await self._guardrails.arguments(ModelCall(item["call_id"], item.get("name", ""), arguments))

    def cut(self, events: Iterable[Event]) -> list[Event]:
        """The ends of what was cut off, without the text that was held back."""
        return [self._cut(event) if event["type"] == ITEM_DONE else event for event in events]

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

    async def feed(self, event: Event, allowed: list[Event]) -> None:
        match event["type"].removeprefix(TEXT):
            case "delta":
                self._release(await self._guard.feed(event["delta"]), event, allowed)
            case "annotation.added":
                self._annotations.append(event)
            case "done":
                self._release(await self._guard.finish(), event, allowed)
                allowed += [*self._annotations, event]

    def _release(self, text: str | Violation, event: Event, allowed: list[Event]) -> None:
        if isinstance(text, Violation):
            raise Refused(text.message, event["item_id"], self.shown)
        if text:
            self._shown.append(text)
            at = {name: event[name] for name in ("item_id", "output_index", "content_index")}
            allowed.append({"type": f"{TEXT}delta", **at, "delta": text, "logprobs": []})


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
