"""What goes over the socket: an answer as a list of parts; SSE events put into bytes, and broken on purpose."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait before the next part; a client that hangs up ends it."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Stall:
    """Send nothing more and keep the connection open until the client hangs up (or the server stops)."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Close the connection although the body is not complete."""


Part: TypeAlias = bytes | Pause | Stall | Cut


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP reply, ready to send. `before` holds what happens ahead of the head: a pause, a stall, a cut.

    `length` sends the body under a Content-Length instead of chunked.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    parts: Sequence[Part] = ()
    before: Sequence[Pause | Stall | Cut] = ()
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Wire:
    """How a reply is sent and where it fails. The defaults are OpenAI's own habits.

    newline         line end of the events
    space           `data: {…}` or `data:{…}`
    comment         a comment line before the first event and between all others (`: OPENROUTER PROCESSING`)
    named           each event with an `id:` and an `event: message` line (watsonx)
    split_bytes     send the body in pieces of this many bytes, without regard to events or UTF-8
    gzip            compress the body
    done            end a stream with `data: [DONE]`
    gap_s           seconds between two events
    head_after_s    seconds until the head is sent
    stall_head      never send a head
    refuse          close the connection without a byte
    stall_after     stall when so many events have been sent
    cut_after       close the connection when so many events have been sent
    cut_in_event    send half of the next event before that
    end_after       end the stream properly, but early and without `[DONE]`, when so many events have been sent
    inject          (position, event): an extra event before that position; text is sent as it is, a dict as JSON
    """

    newline: str = "\n"
    space: bool = True
    comment: str | None = None
    named: bool = False
    split_bytes: int | None = None
    gzip: bool = False
    done: bool = True
    gap_s: float = 0.0
    head_after_s: float = 0.0
    stall_head: bool = False
    refuse: bool = False
    stall_after: int | None = None
    cut_after: int | None = None
    cut_in_event: bool = False
    end_after: int | None = None
    inject: tuple[int, str | Mapping[str, Any]] | None = None

    def json(self, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
        """One JSON document."""
        return self.body(dumps(value), "application/json", status, headers)

    def body(
        self, body: bytes, content_type: str, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Answer:
        head = {"content-type": content_type, **(headers or {})}
        if self.gzip:
            body = gzip.compress(body)
            head["content-encoding"] = "gzip"
        parts: list[Part] = list(self._split([body]))
        if self.cut_after is not None:
            parts = [body[: len(body) // 2], Cut()]
        if self.stall_after is not None:
            parts = [body[: len(body) // 2], Stall()]
        return Answer(status, head, parts, self._before(), length=len(body))

    def events(self, events: Sequence[Any], headers: Mapping[str, str] | None = None) -> Answer:
        """A stream of server-sent events; each is a JSON value, or text that is sent as it is."""
        head = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", **(headers or {})}
        parts = self._faulty([self._event(number, event) for number, event in enumerate(self._with_extras(events), 1)])
        if self.gzip:
            head["content-encoding"] = "gzip"
            parts = _compressed(parts)
        return Answer(200, head, list(self._split(parts)), self._before())

    def _with_extras(self, events: Sequence[Any]) -> list[Any]:
        listed = list(events)
        if self.inject is not None:
            listed.insert(*self.inject)
        return [*listed, "[DONE]"] if self.done else listed

    def _event(self, number: int, event: Any) -> bytes:
        payload = event.encode() if isinstance(event, str) else dumps(event)
        end = self.newline.encode()
        comment = f": {self.comment}".encode() + end + end if self.comment is not None else b""
        named = b"id: %d" % number + end + b"event: message" + end if self.named else b""
        return comment + named + b"data:" + (b" " if self.space else b"") + payload + end + end

    def _faulty(self, events: list[bytes]) -> list[Part]:
        if self.end_after is not None:
            return list(events[: self.end_after])
        last: Part | None = None
        kept = len(events)
        if self.stall_after is not None:
            kept, last = self.stall_after, Stall()
        if self.cut_after is not None:
            kept, last = self.cut_after, Cut()
        parts: list[Part] = []
        for event in events[:kept]:
            parts += [event, Pause(self.gap_s)] if self.gap_s else [event]
        if last is not None and self.cut_in_event and kept < len(events):
            parts.append(events[kept][: len(events[kept]) // 2])
        return [*parts, last] if last is not None else parts

    def _split(self, parts: Sequence[Part]) -> Iterator[Part]:
        for part in parts:
            if self.split_bytes is None or not isinstance(part, bytes):
                yield part
            else:
                yield from (part[at : at + self.split_bytes] for at in range(0, len(part), self.split_bytes))

    def _before(self) -> list[Pause | Stall | Cut]:
        if self.refuse:
            return [Cut()]
        if self.stall_head:
            return [Stall()]
        return [Pause(self.head_after_s)] if self.head_after_s else []


def dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _compressed(parts: Sequence[Part]) -> list[Part]:
    """The bytes of the parts as one gzip member, flushed after each part, so that a reader sees it at once."""
    import zlib

    packer = zlib.compressobj(wbits=31)
    packed: list[Part] = [
        packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH) if isinstance(part, bytes) else part for part in parts
    ]
    return [*packed, packer.flush()]
