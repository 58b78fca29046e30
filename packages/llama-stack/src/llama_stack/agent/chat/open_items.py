"""Items that are being streamed: each gives its events in the order and with the indices that OpenAI gives them.

An item is opened, grows, and is closed (`close`) or cut off (`cut`): then it ends without the events that would have
completed its parts. All methods add their events to the list that they are given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from llama_stack.agent.citations import Citations
from llama_stack.agent.entries import ITEM_ADDED, ITEM_DONE, Event, Item
from llama_stack.agent.ids import new_id


@dataclass(frozen=True, slots=True)
class Place:
    """Where an item stands: its `output_index`, in what the model says for that response."""

    index: int
    response_id: str


class OpenItem:
    """`index` is its place in the output of this call of the model. `coalesce`: a part's text comes as one delta."""

    def __init__(self, kind: str, place: Place, *, coalesce: bool) -> None:
        self.id = new_id(kind, place.response_id)
        self.kind = kind
        self.index = place.index
        self.coalesce = coalesce

    def item(self, status: str) -> Item:
        """The item as it is now."""
        raise NotImplementedError

    def close(self, status: str, events: list[Event]) -> Item:
        raise NotImplementedError

    def cut(self, events: list[Event]) -> None:
        self._ended("incomplete", events)

    def _added(self, events: list[Event]) -> None:
        events.append({"type": ITEM_ADDED, "output_index": self.index, "item": self.item("in_progress")})

    def _ended(self, status: str, events: list[Event]) -> Item:
        item = self.item(status)
        events.append({"type": ITEM_DONE, "output_index": self.index, "item": item})
        return item

    def event(self, kind: str, **members: Any) -> Event:
        return {"type": kind, "item_id": self.id, "output_index": self.index, **members}


SealThought: TypeAlias = Callable[[str, list[Item]], str]
"""Text and signed blocks of a thought to its `encrypted_content`."""


class Thought(OpenItem):
    """A reasoning item. `seal` gives its `encrypted_content`, if it has any; `blocks` are what its provider signed."""

    def __init__(self, place: Place, seal: SealThought | None, events: list[Event], *, coalesce: bool) -> None:
        super().__init__("reasoning", place, coalesce=coalesce)
        self._seal = seal
        self.blocks: list[Item] = []
        self._pieces: list[str] = []
        self._summary: list[Item] = []
        self._added(events)
        events.append(self.event("response.content_part.added", content_index=0, part=self._part()))

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def add(self, text: str, events: list[Event]) -> None:
        self._pieces.append(text)
        if not self.coalesce:
            self._delta(text, events)

    def end_text(self, events: list[Event]) -> None:
        if self.coalesce:
            self._delta(self.text, events)
        events.append(self.event("response.reasoning_text.done", content_index=0, text=self.text))
        events.append(self.event("response.content_part.done", content_index=0, part=self._part()))

    def summarize(self, text: str, events: list[Event]) -> None:
        part = {"type": "summary_text", "text": text}
        events += [
            self.event("response.reasoning_summary_part.added", summary_index=0, part={**part, "text": ""}),
            self.event("response.reasoning_summary_text.delta", summary_index=0, delta=text),
            self.event("response.reasoning_summary_text.done", summary_index=0, text=text),
            self.event("response.reasoning_summary_part.done", summary_index=0, part=part),
        ]
        self._summary = [part]

    def close(self, status: str, events: list[Event]) -> Item:
        return self._ended(status, events)

    def item(self, status: str) -> Item:
        item: Item = {
            "id": self.id,
            "type": "reasoning",
            "status": status,
            "summary": self._summary,
            "content": [self._part()] if self._pieces else [],
        }
        if self._seal is not None and status != "in_progress":
            item["encrypted_content"] = self._seal(self.text, self.blocks)
        return item

    def _delta(self, text: str, events: list[Event]) -> None:
        events.append(self.event("response.reasoning_text.delta", content_index=0, delta=text))

    def _part(self) -> Item:
        return {"type": "reasoning_text", "text": self.text}


class Answer(OpenItem):
    """A message of the assistant: parts of text and of refusal, of which the last may be open."""

    def __init__(
        self, place: Place, citations: Callable[[], Citations] | None, events: list[Event], *, coalesce: bool
    ) -> None:
        super().__init__("message", place, coalesce=coalesce)
        self._citations = citations
        self._parts: list[Item] = []
        self._open: _Text | _Refusal | None = None
        self._added(events)

    def say(self, text: str, logprobs: Sequence[Item], events: list[Event]) -> None:
        if not isinstance(self._open, _Text):
            self._end_part(events)
            self._open = _Text(self, len(self._parts), self._citations() if self._citations else None, events)
        self._open.add(text, logprobs, events)

    def decline(self, text: str, events: list[Event]) -> None:
        if not isinstance(self._open, _Refusal):
            self._end_part(events)
            self._open = _Refusal(self, len(self._parts), events)
        self._open.add(text, events)

    def refuse(self, message: str, shown: str, events: list[Event]) -> Item:
        """End as a refusal. Of the last text no more than `shown` has been sent, nor the end of it."""
        if not isinstance(self._open, _Text):
            del self._parts[max(n for n, part in enumerate(self._parts) if part["type"] == "output_text") :]
        index = len(self._parts)
        part = _text_part(shown)
        events.append(
            self.event("response.output_text.done", content_index=index, text=shown, logprobs=part["logprobs"])
        )
        events.append(self.event("response.content_part.done", content_index=index, part=part))
        self._parts.append(part)
        self._open = _Refusal(self, len(self._parts), events)
        self._open.add(message, events)
        return self.close("completed", events)

    def close(self, status: str, events: list[Event]) -> Item:
        self._end_part(events)
        return self._ended(status, events)

    def item(self, status: str) -> Item:
        parts = [*self._parts, self._open.part()] if self._open is not None else list(self._parts)
        return {"id": self.id, "type": "message", "status": status, "role": "assistant", "content": parts}

    def _end_part(self, events: list[Event]) -> None:
        if self._open is not None:
            self._parts.append(self._open.close(events))
            self._open = None


class _Text:
    """A part of text. The citations may hold some of it back, and take out what stands for them."""

    def __init__(self, of: Answer, index: int, citations: Citations | None, events: list[Event]) -> None:
        self._of = of
        self._index = index
        self._citations = citations
        self._pieces: list[str] = []
        self._logprobs: list[Item] = []
        self._shown_logprobs = 0
        self._annotations: list[Item] = []
        events.append(of.event("response.content_part.added", content_index=index, part=_text_part("")))

    def add(self, text: str, logprobs: Sequence[Item], events: list[Event]) -> None:
        self._logprobs += logprobs
        self._show(self._citations.feed(text) if self._citations is not None else text, events)

    def close(self, events: list[Event]) -> Item:
        if self._citations is not None:
            rest, self._annotations = self._citations.finish()
            self._show(rest, events)
        part = self.part()
        if self._of.coalesce and part["text"]:
            self._delta(part["text"], events)
        for number, annotation in enumerate(self._annotations):
            events.append(
                self._of.event(
                    "response.output_text.annotation.added",
                    content_index=self._index,
                    annotation_index=number,
                    annotation=annotation,
                )
            )
        events.append(
            self._of.event(
                "response.output_text.done",
                content_index=self._index,
                text=part["text"],
                logprobs=_streamed(self._logprobs),
            )
        )
        events.append(self._of.event("response.content_part.done", content_index=self._index, part=part))
        return part

    def part(self) -> Item:
        return _text_part("".join(self._pieces), self._annotations, self._logprobs)

    def _show(self, text: str, events: list[Event]) -> None:
        if text:
            self._pieces.append(text)
            if not self._of.coalesce:
                self._delta(text, events)

    def _delta(self, text: str, events: list[Event]) -> None:
        fresh = self._logprobs[self._shown_logprobs :] if self._logprobs else []
        self._shown_logprobs += len(fresh)
        events.append(
            self._of.event(
                "response.output_text.delta", content_index=self._index, delta=text, logprobs=_streamed(fresh)
            )
        )


class _Refusal:
    def __init__(self, of: Answer, index: int, events: list[Event]) -> None:
        self._of = of
        self._index = index
        self._pieces: list[str] = []
        events.append(of.event("response.content_part.added", content_index=index, part=self.part()))

    def add(self, text: str, events: list[Event]) -> None:
        self._pieces.append(text)
        if not self._of.coalesce:
            self._delta(text, events)

    def close(self, events: list[Event]) -> Item:
        part = self.part()
        if self._of.coalesce:
            self._delta(part["refusal"], events)
        events.append(self._of.event("response.refusal.done", content_index=self._index, refusal=part["refusal"]))
        events.append(self._of.event("response.content_part.done", content_index=self._index, part=part))
        return part

    def part(self) -> Item:
        return {"type": "refusal", "refusal": "".join(self._pieces)}

    def _delta(self, text: str, events: list[Event]) -> None:
        events.append(self._of.event("response.refusal.delta", content_index=self._index, delta=text))


def _text_part(text: str, annotations: list[Item] | None = None, logprobs: list[Item] | None = None) -> Item:
    return {"type": "output_text", "text": text, "annotations": annotations or [], "logprobs": logprobs or []}


def _streamed(logprobs: Sequence[Item]) -> list[Item]:
    """Events have the tokens without their bytes."""
    return [
        {
            "token": token["token"],
            "logprob": token["logprob"],
            "top_logprobs": [{"token": top["token"], "logprob": top["logprob"]} for top in token["top_logprobs"]],
        }
        for token in logprobs
    ]
