"""Which part of a content a request asks for (RFC 9110: ranges and preconditions), and the headers of the reply."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from llama_stack.http.asgi import Headers
from llama_stack_api.errors import LlamaStackError

_RANGE = re.compile(r"bytes\s*=\s*(\d{0,19})\s*-\s*(\d{0,19})\s*", re.IGNORECASE)
_SHOWN_AS_NAME: Final = re.compile(r"[^ !#$&+\-.0-9A-Z^_`a-z{}~()\[\],;@']")

_ACTIVE: Final = frozenset(
    {
        *("text/html", "application/xhtml+xml", "image/svg+xml", "text/xml", "application/xml", "text/xsl"),
        *("application/javascript", "text/javascript", "application/ecmascript", "text/ecmascript"),
        *("application/x-shockwave-flash", "message/rfc822", "multipart/related", "application/pdf+xml"),
    }
)
"""Types that a browser would run in the name of this server."""


class RangeNotSatisfiable(LlamaStackError):
    status = 416
    type = "invalid_request_error"
    default_code = "range_not_satisfiable"


@dataclass(frozen=True, slots=True)
class Portion:
    """The bytes from `start` up to, without, `end`, and the status of the reply: 200, 206, or 304 without a body."""

    status: int
    start: int
    end: int


def portion(headers: Mapping[bytes, bytes], size: int, etag: str) -> Portion:
    """`RangeNotSatisfiable` for a range that begins behind the end."""
    if _matches(headers.get(b"if-none-match"), etag):
        return Portion(304, 0, 0)
    whole = Portion(200, 0, size)
    asked = headers.get(b"range")
    if asked is None or headers.get(b"if-range", etag.encode()).strip() != etag.encode():
        return whole
    # What is no range of ours, several at once among them, is as if it had not been asked for.
    found = _RANGE.fullmatch(asked.decode("latin-1").strip())
    if found is None or found.groups() == ("", ""):
        return whole
    first, last = found.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return whole
    if start >= size or start >= end:
        raise RangeNotSatisfiable(
            f"The range begins behind the end of the content, which has {size} bytes.",
            headers={"content-range": f"bytes */{size}", "accept-ranges": "bytes"},
        )
    return Portion(206, start, end)


def content_headers(part: Portion, size: int, *, etag: str, content_type: str, filename: str) -> Headers:
    headers = [
        (b"etag", etag.encode()),
        (b"accept-ranges", b"bytes"),
        (b"cache-control", b"private, no-cache"),
        (b"x-content-type-options", b"nosniff"),
    ]
    if part.status == 304:
        return headers
    if part.status == 206:
        headers.append((b"content-range", b"bytes %d-%d/%d" % (part.start, part.end - 1, size)))
    return [
        *headers,
        (b"content-type", shown_type(content_type)),
        (b"content-length", b"%d" % (part.end - part.start)),
        (b"content-disposition", disposition(filename)),
        (b"content-security-policy", b"sandbox; default-src 'none'"),
    ]


def shown_type(content_type: str) -> bytes:
    """A type that no browser runs."""
    if content_type in _ACTIVE or content_type.endswith("+xml"):
        return b"application/octet-stream"
    if content_type.startswith("text/"):
        return content_type.encode("latin-1") + b"; charset=utf-8"
    return content_type.encode("latin-1")


def disposition(filename: str) -> bytes:
    """For saving under that name, whatever is in it: once in plain characters, once exactly."""
    plain = _SHOWN_AS_NAME.sub("_", filename)
    exact = quote(filename, safe="!#$&+-.^_`|~")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}".encode("ascii")


def _matches(tags: bytes | None, etag: str) -> bool:
    if tags is None:
        return False
    listed = [tag.strip().removeprefix("W/") for tag in tags.decode("latin-1").split(",")]
    return "*" in listed or etag in listed
