"""Responses over a WebSocket: `response.create` messages in, events out, one response after another.

    connection   who it is, and how long it may be (the age and the silence that it has)
    └── turn     one message and its events, admitted, timed and logged as a request is: an exchange

What a response with `store: false` leaves is remembered for as long as it is the newest of its connection, so that the
next one can go on from it; if that fails, it is forgotten.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from llama_stack.agent.entries import Entry
from llama_stack.http.asgi import Message, Receive, Scope, Send
from llama_stack.http.exchange import Exchange, Stop
from llama_stack.http.middleware.request_id import request_id
from llama_stack.services.json_depth import check_depth
from llama_stack.services.parsing import parse
from llama_stack.services.responses.create import Followed, ResponseCreation
from llama_stack_api.errors import InvalidRequest, LlamaStackError, PayloadTooLarge, RateLimited
from llama_stack_api.openai.responses.operations import CreateOverWebSocket
from llama_stack_api.principal import Principal

if TYPE_CHECKING:
    from llama_stack.config.server import CorsConfig, LimitsConfig
    from llama_stack.config.websocket import SocketLimits

AGE_LIMIT: Final = "websocket_connection_limit_reached"
TERMINAL: Final = (b'{"type":"response.completed"', b'{"type":"response.incomplete"')

Turns = Callable[["SocketTurn", Callable[[], Awaitable[None]]], Awaitable[None]]
"""Serves one turn as the edge serves a request: admitted, logged, its errors told."""

_encode = msgspec.json.Encoder().encode


class SocketTurn(Exchange):
    """The exchange of one message. `stream_id` is the client's name for it."""

    __slots__ = ("stream_id",)

    def __init__(self, scope: Scope, send: Send, limits: LimitsConfig, principal: Principal) -> None:
        super().__init__({**scope, "method": "GET"}, _nothing, send, limits, asyncio.get_running_loop())
        self.request_id = request_id(self.headers)
        self.principal = principal
        self.route = self.path
        self.reading = False
        self.deadline = self.started_at + limits.request_timeout_s
        self.stream_id: str | None = None

    async def send_event(self, event: bytes) -> None:
        self.status = 200
        await self._send_json(event)

    async def send_error(self, error: LlamaStackError) -> None:
        self.error = error
        self.status = error.status
        told = {"type": error.type, "message": error.message, "code": error.code, "param": error.param}
        await self._send_json(_encode({"type": "error", "status": error.status, "error": told}))

    async def _send_json(self, event: bytes) -> None:
        if self.stream_id is not None:
            event = b'%b,"stream_id":%b}' % (event[:-1], _encode(self.stream_id))
        await self._send({"type": "websocket.send", "text": event.decode()})

    async def abort(self) -> None:
        await self._send({"type": "websocket.close", "code": 1011, "reason": "The client does not read."})


class ResponseSocket:
    """One connection, of a client that is known. `serve_turn` is the edge's."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        principal: Principal,
        creation: ResponseCreation,
        serve_turn: Turns,
        request_limits: LimitsConfig,
        limits: SocketLimits,
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._principal = principal
        self._creation = creation
        self._serve_turn = serve_turn
        self._request_limits = request_limits
        self._limits = limits
        self._messages: asyncio.Queue[bytes | None] = asyncio.Queue(self._limits.waiting_max)
        self._waiting_bytes = 0
        self._turn: SocketTurn | None = None
        self._gone = False
        self._remembered: tuple[str, list[Entry]] | None = None

    async def serve(self) -> None:
        """Until the client goes, or the connection has become too old, or was silent for too long."""
        await self._send({"type": "websocket.accept"})
        reader = asyncio.create_task(self._read(), name="websocket reader")
        ends_at = asyncio.get_running_loop().time() + self._limits.age_s
        try:
            while (message := await self._next(ends_at)) is not None:
                self._waiting_bytes -= len(message)
                await self._answer(message)
                if asyncio.get_running_loop().time() >= ends_at:
                    await self._end_of_age()
                    return
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _next(self, ends_at: float) -> bytes | None:
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(min(self._limits.idle_s, ends_at - now)):
                return await self._messages.get()
        except TimeoutError:
            await (self._end_of_age() if ends_at - now <= self._limits.idle_s else self._close(1000, "It was idle."))
            return None

    async def _read(self) -> None:
        while (message := await self._receive())["type"] != "websocket.disconnect":
            text = _body(message)
            waiting = self._messages.qsize()
            too_large = self._waiting_bytes + len(text) > self._request_limits.body_bytes_max
            if self._messages.full() or (waiting and too_large):
                await self._refuse(
                    RateLimited(
                        f"{waiting} messages wait already; send one after the other, or raise "
                        "server.websocket.waiting_max."
                    )
                )
            else:
                self._waiting_bytes += len(text)
                self._messages.put_nowait(text)
        self._gone = True
        if self._turn is not None:
            self._turn.stop_for(Stop.HANG_UP)
        while not self._messages.empty():
            self._messages.get_nowait()
        self._messages.put_nowait(None)

    async def _answer(self, message: bytes) -> None:
        turn = self._turn = SocketTurn(self._scope, self._send, self._request_limits, self._principal)
        try:
            await self._serve_turn(turn, lambda: self._respond(turn, message))
        finally:
            self._turn = None

    async def _respond(self, turn: SocketTurn, message: bytes) -> None:
        if len(message) > turn.limits.body_bytes_max:
            raise PayloadTooLarge(
                f"The message is larger than {turn.limits.body_bytes_max} bytes; server.limits.body_bytes_max raises "
                "that limit."
            )
        check_depth(message, turn.limits.json_depth_max)
        request = parse(CreateOverWebSocket, message)
        turn.stream_id = request.stream_id
        remembered, before = self._remembered, self._before(request)
        if before is not None:
            self._remembered = None  # until it is clear that this does not fail
        followed = await self._followed(request, turn, before)
        last = await self._send_events(turn, followed)
        if last.startswith(TERMINAL):
            unstored = request.store is False or request.generate is False
            self._remembered = _remembered(followed, last) if unstored else remembered

    def _before(self, request: CreateOverWebSocket) -> list[Entry] | None:
        if self._remembered is None or request.previous_response_id != self._remembered[0]:
            return None
        return self._remembered[1]

    async def _followed(
        self, request: CreateOverWebSocket, turn: SocketTurn, before: Sequence[Entry] | None
    ) -> Followed:
        generate = request.generate is not False
        request = _as_request(request)
        call = turn.call()
        return await (
            self._creation.follow(request, call, before) if generate else self._creation.ready(request, call, before)
        )

    async def _send_events(self, turn: SocketTurn, followed: Followed) -> bytes:
        """The last of them."""
        loop, idle_s = asyncio.get_running_loop(), turn.limits.stream_idle_timeout_s
        last = b""
        try:
            async for events in followed.events:
                turn.deadline = loop.time() + idle_s
                for event in events:
                    await turn.send_event(event.data)
                    last = event.data
        finally:
            await followed.events.aclose()
        turn.replied = True
        return last

    async def _refuse(self, error: LlamaStackError) -> None:
        await SocketTurn(self._scope, self._send, self._request_limits, self._principal).send_error(error)

    async def _end_of_age(self) -> None:
        await self._refuse(
            InvalidRequest(
                f"The connection has reached its limit of {self._limits.age_s / 60:g} minutes; open a new one.",
                code=AGE_LIMIT,
            )
        )
        await self._close(1000, "The connection has reached its age.")

    async def _close(self, code: int, reason: str) -> None:
        if not self._gone:
            await self._send({"type": "websocket.close", "code": code, "reason": reason})


def origin_allowed(headers: Mapping[bytes, bytes], policy: CorsConfig | None) -> bool:
    """Whether a page of that origin may connect: browsers ask nobody before they open a WebSocket. Pages of this host
    may, those that CORS admits, and whoever is no browser and names no origin."""
    origin = headers.get(b"origin", b"").decode("latin-1")
    if not origin or urlsplit(origin).netloc == headers.get(b"host", b"").decode("latin-1"):
        return True
    if policy is None:
        return False
    by_name = "*" in policy.allow_origins or origin in policy.allow_origins
    return by_name or bool(policy.allow_origin_regex and re.fullmatch(policy.allow_origin_regex, origin))


def _remembered(followed: Followed, last: bytes) -> tuple[str, list[Entry]]:
    response = msgspec.json.decode(last)["response"]
    return response["id"], [*followed.context, *map(Entry, response["output"])]


def _as_request(request: CreateOverWebSocket) -> CreateOverWebSocket:
    """As the body of a request for a stream."""
    request.stream, request.background = True, None
    request.model_fields_set.difference_update(("type", "generate", "stream_id"))
    return request


def _body(message: Message) -> bytes:
    text: Any = message.get("text")
    return text.encode() if text is not None else message.get("bytes") or b""


async def _nothing() -> Message:
    never: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    return await never
