"""The requests of a message batch, cut out of its body as it comes: of a body that is hundreds of megabytes long, one
request is held here, and no step takes long."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from llama_stack_api.errors import InvalidRequest, MalformedBody, PayloadTooLarge

REST_BYTES_MAX: Final = 1024 * 1024
"""Of a body without its requests, of which hardly anything is left then."""

_PLACE_BYTES_MAX: Final = 15
_STRUCTURE: Final = re.compile(rb'["\[\]{}]')
_REST_OF_STRING: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_OPENING: Final = b"[{"
_QUOTE: Final = ord('"')
_OBJECT: Final = ord("{")
_DEPTH: Final = 2
"""Where requests are: in an array in the body's object."""


class RequestSplitter:
    """Give it the body piece by piece; it gives back the requests that are complete, each an object as JSON.

    What is around them is kept, with a number in the place of each, and read at the end: so the body as a whole is
    checked by a real parser. The requests are for the caller to read.
    """

    def __init__(self, *, request_bytes_max: int, requests_max: int) -> None:
        self._request_bytes_max = request_bytes_max
        self._requests_max = requests_max
        self._place = secrets.randbits(48)
        self._rest = bytearray()
        self._request = bytearray()
        """One that has begun and is not complete."""
        self._found = 0
        self._depth = 0
        self._in_request = False
        self._in_string = False
        self._escaped = False
        """The next byte belongs to a backslash before it."""

    def feed(self, piece: bytes) -> list[bytes]:
        """The requests that end in this piece. `PayloadTooLarge` or `InvalidRequest` beyond a limit."""
        complete: list[bytes] = []
        start = 0
        for at in self._brackets(piece):
            if piece[at] in _OPENING:
                self._depth += 1
                if piece[at] == _OBJECT and self._depth == _DEPTH + 1:
                    self._rest += piece[start:at]
                    start, self._in_request = at, True
            else:
                self._depth -= 1
                if self._in_request and self._depth == _DEPTH:
                    complete.append(self._ended(piece[start : at + 1]))
                    start, self._in_request = at + 1, False
        (self._request if self._in_request else self._rest).extend(piece[start:])
        self._check_limits()
        return complete

    def finish(self) -> None:
        """`InvalidRequest` if the body is not an object with `requests` that are objects."""
        try:
            body = msgspec.json.decode(self._rest)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise MalformedBody("The body is not valid JSON.") from None
        if not isinstance(body, dict):
            raise InvalidRequest("The body must be a JSON object.", code="invalid_type")
        if "requests" not in body:
            raise _wrong("this field is required", "missing_required_parameter")
        self._check_requests(body["requests"])

    def _check_requests(self, requests: Any) -> None:
        if not isinstance(requests, list):
            raise _wrong("input should be an array", "invalid_type")
        if not requests:
            raise _wrong("at least one request is needed", "invalid_value")
        if requests != [self._place] * self._found:
            raise _wrong("each of them should be an object", "invalid_type")

    def _brackets(self, piece: bytes) -> Iterator[int]:
        """Where brackets and braces are that are no part of a string."""
        at = 0
        while True:
            if self._in_string:
                at = self._behind_string(piece, at)
            found = _STRUCTURE.search(piece, at)
            if found is None:
                return
            at = found.end()
            if piece[at - 1] == _QUOTE:
                self._in_string = True
            else:
                yield at - 1

    def _behind_string(self, piece: bytes, at: int) -> int:
        """Where the string is over that goes on at `at`; at the latest at the end of the piece."""
        if self._escaped and piece:
            self._escaped = False
            at += 1
        rest = _REST_OF_STRING.match(piece, at)
        assert rest is not None, "it matches nothing, too"
        end = rest.end()
        if end < len(piece):
            self._in_string = piece[end] != _QUOTE
            self._escaped = self._in_string  # a backslash, and nothing behind it
            end += 1
        return end

    def _ended(self, end: bytes) -> bytes:
        request = bytes(self._request + end)
        self._request.clear()
        self._rest += b"%d" % self._place
        self._found += 1
        if len(request) > self._request_bytes_max:
            raise self._too_large()
        return request

    def _check_limits(self) -> None:
        if len(self._request) > self._request_bytes_max:
            raise self._too_large()
        if self._found > self._requests_max:
            raise _wrong(
                f"a batch has at most {self._requests_max} requests; server.batches.lines_max allows more",
                "invalid_value",
            )
        if len(self._rest) > REST_BYTES_MAX + _PLACE_BYTES_MAX * self._found:
            raise PayloadTooLarge("There is too much in the body that is no request of the batch.")

    def _too_large(self) -> PayloadTooLarge:
        return PayloadTooLarge(
            f"requests[{self._found}] is larger than {self._request_bytes_max} bytes; server.batches.line_bytes_max "
            "allows more."
        )


def _wrong(what: str, code: str) -> InvalidRequest:
    return InvalidRequest(f"requests: {what}.", param="requests", code=code)
