"""uvicorn's HTTP protocol with a bound on what a client may send, and how long it may take, before a request begins."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from llama_stack.http.asgi import ABORT, ON_HANG_UP

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
        self._hung_up: Callable[[], None] | None = None
        self._head_timer: asyncio.TimerHandle | None = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)
        if self._hung_up is not None:
            self._hung_up()
            self._hung_up = None

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
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
        extensions: dict[Any, Any] = {ABORT: self.abort, ON_HANG_UP: self.on_hang_up}
        self.scope["extensions"] = extensions

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

    def send_400_response(self, _: str) -> None:
        if self._refused:  # for its head, just now
            return
        self._refused = True
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if not cycle.more_body:
                # What does not parse came behind a whole request, whose client would take a 400 for its reply.
                cycle.keep_alive = False
                return
            if cycle.response_started:
                self.transport.close()
                return
        self._refuse(b"400 Bad Request", "invalid_http", f"The request is not valid HTTP{_reason(sys.exc_info()[1])}.")

    def abort(self) -> None:
        """Unlike `close`, this does not wait until the client has read what was written."""
        self.transport.abort()

    def on_hang_up(self, call: Callable[[], None]) -> None:
        """Of the request that is being served; requests of one connection are served one after another."""
        self._hung_up = call

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
        self._refuse(b"431 Request Header Fields Too Large", "headers_too_large", message)

    def _refuse(self, status: bytes, code: str, message: str) -> None:
        """Reply before there is an exchange, and close."""
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
        body = json.dumps({"error": error}).encode()
        self.transport.write(
            b"HTTP/1.1 %b\r\ncontent-type: application/json\r\nconnection: close\r\n" % status
            + b"content-length: %d\r\n\r\n" % len(body)
            + body
        )
        self.transport.close()


def _reason(error: BaseException | None) -> str:
    """What the parser says, such as `: Invalid method encountered`. Errors of our own callbacks say nothing of use."""
    told = isinstance(error, httptools.HttpParserError) and not isinstance(error, httptools.HttpParserCallbackError)
    return f": {error}" if told and str(error) else ""


def bounded_protocol(header_bytes_max: int) -> type[Any]:
    """The protocol class with its limit; uvicorn makes the instances."""
    return type("BoundedProtocol", (BoundedProtocol,), {"header_bytes_max": header_bytes_max})
