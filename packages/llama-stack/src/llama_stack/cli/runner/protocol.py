"""uvicorn's HTTP protocol with a bound on what a client may send, and how long it may take, before a request begins."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_TIMEOUT_S = 20.0


class BoundedProtocol(HttpToolsProtocol):
    """`header_bytes_max` counts the request line and headers. A head that is not complete in time ends the connection.

    httptools itself has no such limits, so that a client could fill the memory with one endless header.
    """

    header_bytes_max: int

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_bytes = 0
        self._in_head = True
        self._refused = False
        self._head_timer: asyncio.TimerHandle | None = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_timer is None:
                self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.close)
        super().data_received(data)
        if self._in_head and self._head_bytes > self.header_bytes_max and not self._refused:
            self._refuse_head()

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        self._stop_timer()
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > self.header_bytes_max:
            # A head that arrives in one piece is parsed by now; an error in a callback ends the parsing.
            self._refuse_head()
            raise httptools.HttpParserError("the head is too large")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True

    def send_400_response(self, msg: str) -> None:
        if not self._refused:
            super().send_400_response(msg)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse_head(self) -> None:
        self._refused = True
        message = (
            f"The request's headers are larger than {self.header_bytes_max} bytes; server.limits.header_bytes_max "
            "raises that limit."
        )
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": "headers_too_large"}
        body = json.dumps({"error": error}).encode()
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\nconnection: close\r\n"
            + b"content-length: %d\r\n\r\n" % len(body)
            + body
        )
        self.transport.close()


def bounded_protocol(header_bytes_max: int) -> type[Any]:
    """The protocol class with its limit; uvicorn makes the instances."""
    return type("BoundedProtocol", (BoundedProtocol,), {"header_bytes_max": header_bytes_max})
