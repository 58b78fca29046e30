"""One request and its reply, over ASGI and nothing else: this is the path of every chat request, so it stays thin.

    read_body ── watches for the client's hang-up from here on ── send_json | send_events | send_error

The task that serves the request is cancelled from outside for one of three reasons (`Stop`); whoever handles the
request need not know them: cancellation closes generators, which cancels calls to providers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

from llama_stack.http import sse
from llama_stack.http.asgi import ABORT, ON_HANG_UP, Headers, Message, Receive, Scope, Send
from llama_stack.http.errors import (
    ANTHROPIC_ERRORS,
    ANTHROPIC_VERSION,
    OPENAI_ERRORS,
    SPOKEN_VERSION,
    error_headers,
    is_anthropic,
)
from llama_stack.http.middleware.decompression import decompressed
from llama_stack.http.middleware.provider_data import HEADER as PROVIDER_DATA
from llama_stack.http.middleware.provider_data import provider_data
from llama_stack.services.json_depth import check_depth
from llama_stack_api.errors import (
    LlamaStackError,
    PayloadTooLarge,
    UnsupportedMedia,
)
from llama_stack_api.principal import ANONYMOUS, Call, Principal

if TYPE_CHECKING:
    from llama_stack.config.server import LimitsConfig

NEVER = float("inf")
CLIENT_GONE = 499
"""What log and metrics show for a reply that nobody waited for, after nginx."""

_NONE: Mapping[str, Any] = {}
_NOT_FORWARDED = frozenset(
    {
        *("authorization", "x-api-key", "cookie", PROVIDER_DATA.decode(), "proxy-authorization"),
        *("host", "content-length", "content-type", "content-encoding", "accept-encoding", "transfer-encoding"),
        *("connection", "keep-alive", "te", "trailer", "upgrade", "expect"),
    }
)


class Stop(Enum):
    HANG_UP = "the client hung up"
    TIMEOUT = "a time limit was reached"
    SHUTDOWN = "the server shuts down"


class Stopped(Exception):
    """The client is gone, so there is nobody to tell."""


class ForwardHeaders(Mapping[str, str]):
    """A request's headers as text, decoded when asked for. Those that speak to this server alone are left out."""

    __slots__ = ("_headers",)

    def __init__(self, headers: Mapping[bytes, bytes]) -> None:
        self._headers = headers

    def __getitem__(self, name: str) -> str:
        if name in _NOT_FORWARDED:
            raise KeyError(name)
        return self._headers[name.encode("latin-1", "replace")].decode("latin-1")

    def __iter__(self) -> Iterator[str]:
        return (text for text in (name.decode("latin-1") for name in self._headers) if text not in _NOT_FORWARDED)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Exchange:
    """`headers` are the request's, names in lower case; of a repeated one the last counts.

    `deadline` is when the sweeper stops the exchange, in the loop's time. `status` is 0 until a reply starts.
    `body_timeout_s` is set where a body is read as it comes, and is how long all of it may take.
    """

    __slots__ = (
        "_body",
        "_loop",
        "_receive",
        "_send",
        "_watcher",
        "body_timeout_s",
        "deadline",
        "error",
        "finished",
        "headers",
        "limits",
        "method",
        "path",
        "principal",
        "reading",
        "replied",
        "request_id",
        "route",
        "scope",
        "started_at",
        "started_s",
        "status",
        "stop",
        "streaming",
        "task",
    )

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, limits: LimitsConfig, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self._loop = loop
        self._body: bytes | None = None
        self.limits = limits
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.request_id = b""
        self.principal: Principal = ANONYMOUS
        self.route = ""
        self.task = asyncio.current_task(loop)
        self.started_s = time.perf_counter()
        self.started_at = loop.time()
        self.deadline = self.started_at + limits.body_timeout_s
        self.reading = True
        self.body_timeout_s: float | None = None
        self.replied = False
        self.streaming = False
        self.status = 0
        self.finished = False
        self.stop: Stop | None = None
        self.error: LlamaStackError | None = None

    def call(self) -> Call:
        """What goes down with this request."""
        headers = self.headers
        return Call(
            self.principal,
            self.request_id.decode(),
            self.deadline,
            provider_data(headers),
            ForwardHeaders(headers),
        )

    def stop_for(self, reason: Stop) -> None:
        """Cancel whoever serves this request. Only the first reason counts."""
        if self.stop is None and not self.finished and self.task is not None:
            self.stop = reason
            self.task.cancel()

    @property
    def is_json(self) -> bool:
        """Whether the body says that it is JSON."""
        content_type = self.headers.get(b"content-type", b"")
        media_type = content_type.partition(b";")[0].strip().lower()
        return media_type == b"application/json" or (
            media_type.startswith(b"application/") and media_type.endswith(b"+json")
        )

    @property
    def is_anthropic(self) -> bool:
        """Whether the request is for Anthropic's API, and its reply has that shape."""
        return is_anthropic(self.path, self.headers)

    def elapsed_s(self) -> float:
        return time.perf_counter() - self.started_s

    async def read_json(self) -> bytes:
        """The body of a request that must be JSON. Whether it is JSON is for the parser to say."""
        # Also keeps web pages of other origins from posting here unasked: they cannot send this type without CORS.
        if not self.is_json:
            raise not_json()
        body = await self.read_body()
        check_depth(body, self.limits.json_depth_max)
        return body

    async def read_body(self) -> bytes:
        """The whole body, decompressed, within the limits. From here on a hang-up cancels the request.

        Read again, it is the same.
        """
        if self._body is not None:
            return self._body
        bytes_max = self.limits.body_bytes_max
        if self._declared_bytes() > bytes_max:
            raise _too_large(bytes_max)
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise Stopped
        body: bytes = message.get("body", b"")
        if message.get("more_body"):
            body = await self._read_on(body, bytes_max)
        elif len(body) > bytes_max:
            raise _too_large(bytes_max)
        encoding = self.headers.get(b"content-encoding")
        if encoding is not None:
            body = decompressed(body, encoding, bytes_max)
        self._body = body
        self._body_is_read(self.started_at)
        return body

    async def body_pieces(
        self, *, too_large: PayloadTooLarge, bytes_max: int, timeout_s: float
    ) -> AsyncGenerator[bytes, None]:
        """The body as it comes, which is held nowhere: the client sends on when a piece has been dealt with.

        In `timeout_s` seconds it must be there, and never stand still for `body_timeout_s`. `too_large` is raised
        beyond `bytes_max` bytes. At its end hang-ups begin to be watched for, as after `read_body`.
        """
        if self.headers.get(b"content-encoding", b"identity").strip().lower() not in (b"", b"identity"):
            raise UnsupportedMedia(
                "A body of this kind is read as it comes, so it must not be compressed: send it without "
                "content-encoding.",
                code="unsupported_content_encoding",
            )
        if self._declared_bytes() > bytes_max:
            raise too_large
        self.body_timeout_s = timeout_s
        size, more = 0, True
        while more:
            self.deadline = min(self._loop.time() + self.limits.body_timeout_s, self.started_at + timeout_s)
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Stopped
            piece = message.get("body", b"")
            size += len(piece)
            if size > bytes_max:
                raise too_large
            more = message.get("more_body", False)
            if piece:
                yield piece
        self._body_is_read(self._loop.time())

    async def send_json(self, body: bytes, status: int = 200, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        await self.send_bytes(body, b"application/json", status, headers)

    async def send_bytes(
        self, body: bytes, content_type: bytes, status: int = 200, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        length = b"%d" % len(body)
        await self._start(status, [(b"content-type", content_type), (b"content-length", length), *headers])
        self.replied = True
        await self._send({"type": "http.response.body", "body": body})

    async def send_events(
        self, blocks: AsyncGenerator[bytes, None], headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        """Send blocks of whole events as they come. The generator is closed in any case.

        An empty block is not sent, but a sign of life: the time that a stream may stand still begins anew.

        An error in the middle becomes the last event, so that no client takes the stream for complete.
        """
        send, loop, idle_s = self._send, self._loop, self.limits.stream_idle_timeout_s
        try:
            # Before the head, so that the generator has begun: closing one that has not would not run its clean-up.
            first = await anext(blocks, b"")
            await self._start(200, [*sse.HEADERS, *headers])
            self.streaming = True
            await send({"type": "http.response.body", "body": first, "more_body": True})
            self.deadline = loop.time() + idle_s
            async for block in blocks:
                if block:
                    await send({"type": "http.response.body", "body": block, "more_body": True})
                self.deadline = loop.time() + idle_s
        finally:
            await blocks.aclose()
        self.replied = True
        await send({"type": "http.response.body", "body": b""})

    async def send_empty(self, status: int, headers: Headers) -> None:
        """A head without a body: the answer to HEAD, or where nothing is to be sent."""
        await self._start(status, headers)
        self.replied = True
        await self._send({"type": "http.response.body", "body": b""})

    async def send_pieces(self, pieces: AsyncGenerator[bytes, None], status: int, headers: Headers) -> None:
        """Send a body as it comes, whose length `headers` state; the client's reading sets the pace. The generator is
        closed in any case. An error in the middle breaks the connection off, so that no client takes the part for all.
        """
        send, loop, idle_s = self._send, self._loop, self.limits.stream_idle_timeout_s
        try:
            # Before the head, so that a body that cannot be had is an error with a status of its own.
            first = await anext(pieces, b"")
            await self._start(status, headers)
            await send({"type": "http.response.body", "body": first, "more_body": True})
            self.deadline = loop.time() + idle_s
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                self.deadline = loop.time() + idle_s
        finally:
            await pieces.aclose()
        self.replied = True
        await send({"type": "http.response.body", "body": b""})

    async def send_error(self, error: LlamaStackError) -> None:
        """As a reply of its own or as a stream's last event; where neither can be, the connection will break off."""
        self.error = error
        shape = ANTHROPIC_ERRORS if self.is_anthropic else OPENAI_ERRORS
        body = shape.render(error, self.request_id.decode())
        if self.status == 0:
            await self.send_json(body, shape.status(error), error_headers(error))
        elif self.streaming and not self.replied:
            self.replied = True
            await self._send({"type": "http.response.body", "body": shape.event(body)})

    async def abort(self) -> None:
        """Drop the connection of a client that does not read, with what waits to be sent, if the server lets us."""
        drop = self.scope.get("extensions", {}).get(ABORT)
        if drop is not None:
            drop()
            await self._watch()

    async def forward_send(self, message: Message) -> None:
        """For an ASGI application behind this exchange: its reply gets the headers that all replies have."""
        if message["type"] == "http.response.start":
            await self._start(message["status"], message.get("headers", ()))
        else:
            self.replied = not message.get("more_body", False)
            await self._send(message)

    async def _start(self, status: int, headers: Sequence[Any]) -> None:
        self.status = status
        sent = [
            *headers,
            (b"x-request-id", self.request_id),
            (b"openai-processing-ms", b"%d" % (self.elapsed_s() * 1000)),
        ]
        if self.is_anthropic:
            sent += [(b"request-id", self.request_id), (ANTHROPIC_VERSION, SPOKEN_VERSION)]
        await self._send({"type": "http.response.start", "status": status, "headers": sent})

    def _declared_bytes(self) -> int:
        return int(self.headers.get(b"content-length", b"0"))

    def _body_is_read(self, since: float) -> None:
        self.reading = False
        self.deadline = since + self.limits.request_timeout_s
        on_hang_up = self.scope.get("extensions", _NONE).get(ON_HANG_UP)
        if on_hang_up is None:
            self._watcher = self._loop.create_task(self._watch())
        else:
            on_hang_up(self._hung_up)

    async def _read_on(self, body: bytes, bytes_max: int) -> bytes:
        parts, size, more = [body], len(body), True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Stopped
            part = message.get("body", b"")
            parts.append(part)
            size += len(part)
            if size > bytes_max:
                raise _too_large(bytes_max)
            more = message.get("more_body", False)
        return b"".join(parts)

    async def _watch(self) -> None:
        # ASGI reports a disconnect also once the reply is complete, so this ends with the exchange at the latest.
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._hung_up()

    def _hung_up(self) -> None:
        if not self.replied:
            self.stop_for(Stop.HANG_UP)


def not_json() -> UnsupportedMedia:
    return UnsupportedMedia("The body must be JSON: send the header 'content-type: application/json'.")


def _too_large(bytes_max: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"The body is larger than {bytes_max} bytes; server.limits.body_bytes_max raises that limit."
    )
