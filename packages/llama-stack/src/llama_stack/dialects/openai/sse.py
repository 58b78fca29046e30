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

    __slots__ = ("_event_bytes_max", "_held", "_rest")

    def __init__(self, event_bytes_max: int = 16 * 1024 * 1024) -> None:
        self._rest = bytearray()
        self._held = b""
        self._event_bytes_max = event_bytes_max

    def feed(self, data: bytes) -> bytes:
        """What waits is not looked at again: a large event may come in many pieces."""
        if self._held or b"\r" in data:
            data = self._normalised(self._held + data)
        end = data.rfind(b"\n\n") + 2
        if end == 1:
            end = 1 if self._rest.endswith(b"\n") and data.startswith(b"\n") else 0
        if end == 0:
            self._keep(data)
            return b""
        whole = bytes(self._rest) + data[:end] if self._rest else data[:end]
        self._rest.clear()
        self._keep(data[end:])
        return whole

    def finish(self) -> bytes:
        """What is left at the end of the stream: an event without its empty line, or nothing."""
        rest = bytes(self._rest)
        self._rest.clear()
        return rest.strip(b"\n")

    def _keep(self, rest: bytes) -> None:
        if len(self._rest) + len(rest) > self._event_bytes_max:
            raise ValueError(f"an event is larger than {self._event_bytes_max} bytes")
        self._rest += rest

    def _normalised(self, data: bytes) -> bytes:
        # A trailing "\r" may be half of "\r\n": it is left for the next call.
        self._held = b"\r" if data.endswith(b"\r") else b""
        body = data[: len(data) - len(self._held)]
        return body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def data_of(event: bytes) -> bytes:
    """The data of one event: its `data` lines joined; empty for a comment or an event without data."""
    lines = []
    for line in event.split(b"\n"):
        if line.startswith(b"data:"):
            value = line[5:]
            lines.append(value[1:] if value.startswith(b" ") else value)
    return b"\n".join(lines)
