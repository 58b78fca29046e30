"""Server-sent events as OpenAI's API uses them: unnamed events whose data is one JSON object, ended by `[DONE]`.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

DONE = b"data: [DONE]\n\n"


def encode(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


class EventSplitter:
    """Bytes split anywhere, in; blocks of whole events, out. Line ends are made `\\n`.

    `feed` returns zero or more whole events, each ended by an empty line; what follows the last one waits. An event
    larger than `event_bytes_max` raises `ValueError`.
    """

    __slots__ = ("_event_bytes_max", "_rest")

    def __init__(self, event_bytes_max: int = 16 * 1024 * 1024) -> None:
        self._rest = b""
        self._event_bytes_max = event_bytes_max

    def feed(self, data: bytes) -> bytes:
        if self._rest:
            data = self._rest + data
        if b"\r" in data:
            data = self._normalise(data)
        end = data.rfind(b"\n\n") + 2
        if end == 1:
            self._keep(data)
            return b""
        self._keep(data[end:])
        return data[:end]

    def finish(self) -> bytes:
        """What is left at the end of the stream: an event without its empty line, or nothing."""
        rest, self._rest = self._rest, b""
        return rest.replace(b"\r", b"\n").strip(b"\n")

    def _keep(self, rest: bytes) -> None:
        if len(rest) > self._event_bytes_max:
            raise ValueError(f"an event is larger than {self._event_bytes_max} bytes")
        self._rest = rest

    @staticmethod
    def _normalise(data: bytes) -> bytes:
        # A trailing "\r" may be half of "\r\n": it is left for the next call.
        held = b"\r" if data.endswith(b"\r") else b""
        body = data[: len(data) - len(held)]
        return body.replace(b"\r\n", b"\n").replace(b"\r", b"\n") + held


def data_of(event: bytes) -> bytes:
    """The data of one event: its `data` lines joined; empty for a comment or an event without data."""
    lines = []
    for line in event.split(b"\n"):
        if line.startswith(b"data:"):
            value = line[5:]
            lines.append(value[1:] if value.startswith(b" ") else value)
    return b"\n".join(lines)
