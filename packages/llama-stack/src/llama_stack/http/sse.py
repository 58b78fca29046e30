"""Server-sent events, as far as the server itself writes them; those of a model come from below, ready made."""

from __future__ import annotations

from llama_stack.http.asgi import Headers

MEDIA_TYPE = "text/event-stream"

# Without the last one nginx collects a stream and hands it over when it has ended.
HEADERS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


def event(data: bytes) -> bytes:
    """One event of one line of JSON."""
    return b"data: " + data + b"\n\n"


def error_event(data: bytes) -> bytes:
    """As Anthropic's clients know it: they read the events' names."""
    return b"event: error\n" + event(data)
