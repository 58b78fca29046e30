"""A message's events with citations: its text sentence by sentence, in a block of its own what rests on something.

What rests on nothing, in a row, is one block. A citation that the model's provider made is of all its text, and stands
at the end of that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from llama_stack.dialects.chat.values import Json
from llama_stack.services.messages.citations_claims import Claims
from llama_stack.services.messages.citations_sentences import Sentences
from llama_stack.services.messages.collected import Collected


class CitedEvents:
    """`_text` is the text block that comes in, `_open` whether one is open that goes out, and `_cited` whether that one
    is over with what it says: it is closed only when the next begins."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self._text: Sentences | None = None
        self._theirs: list[Json] = []
        self._index = -1
        self._open = False
        self._cited = False

    def feed(self, events: Iterable[Json]) -> list[Json]:
        return [told for event in events for told in self._told(event)]

    def _told(self, event: Json) -> Iterator[Json]:
        match event["type"]:
            case "content_block_start" if event["content_block"]["type"] == "text":
                self._text, self._theirs = Sentences(), []
            case "content_block_start":
                self._index += 1
                yield {**event, "index": self._index}
            case "content_block_delta" if self._text is not None:
                yield from self._grow(self._text, event["delta"])
            case "content_block_stop" if self._text is not None:
                yield from self._finish(self._text)
            case "content_block_delta" | "content_block_stop":
                yield {**event, "index": self._index}
            case _:
                yield event

    def _grow(self, text: Sentences, delta: Json) -> Iterator[Json]:
        if delta["type"] == "citations_delta":
            self._theirs.append(delta["citation"])
        for sentence in text.feed(delta.get("text", "")):
            yield from self._say(sentence)

    def _finish(self, text: Sentences) -> Iterator[Json]:
        for sentence in text.finish():
            yield from self._say(sentence)
        if self._open:
            yield from map(self._citation, self._theirs)
        yield from self._close()
        self._text = None

    def _say(self, sentence: str) -> Iterator[Json]:
        citations = self._claims.citations(sentence)
        if self._cited or citations:
            yield from self._close()
        if not self._open:
            self._index, self._open = self._index + 1, True
            block = {"type": "text", "text": "", "citations": None}
            yield {"type": "content_block_start", "index": self._index, "content_block": block}
        yield self._delta({"type": "text_delta", "text": sentence})
        yield from map(self._citation, citations)
        self._cited = bool(citations)

    def _close(self) -> Iterator[Json]:
        if self._open:
            yield {"type": "content_block_stop", "index": self._index}
        self._open = self._cited = False

    def _citation(self, citation: Json) -> Json:
        return self._delta({"type": "citations_delta", "citation": citation})

    def _delta(self, delta: Json) -> Json:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}


def cited_message(message: Json, claims: Claims) -> Json:
    """A whole message, as its events would tell it."""
    cited, collected = CitedEvents(claims), Collected()
    collected.feed([{"type": "message_start", "message": message}])
    for block in message["content"]:
        collected.feed(cited.feed(_events(block)))
    return {**message, "content": collected.content}


def _events(block: Json) -> Iterator[Json]:
    if block["type"] != "text":
        yield {"type": "content_block_start", "content_block": block}
    else:
        yield {"type": "content_block_start", "content_block": {**block, "text": "", "citations": None}}
        yield {"type": "content_block_delta", "delta": {"type": "text_delta", "text": block["text"]}}
        for citation in block.get("citations") or ():
            yield {"type": "content_block_delta", "delta": {"type": "citations_delta", "citation": citation}}
    yield {"type": "content_block_stop"}
