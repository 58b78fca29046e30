"""MCP's streamable HTTP as a transport of the SDK, over the guarded client.

Ours instead of the SDK's, so that a failed request fails one call and says whether it was sent, a cancelled one drops
its connection, and nothing is logged. The standing GET stream is not opened: a server has nothing to tell us unasked.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectSendStream
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from mcp.types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse, RequestId
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

from llama_stack.mcp.link import EVENT_STREAM, JSON, EventPosition, Link, encoded, failed
from llama_stack.mcp.writer import MessageWriter
from llama_stack.net.egress import EgressReply
from llama_stack_api.errors import LlamaStackError

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams

SESSION_ID = "mcp-session-id"
VERSION = "mcp-protocol-version"

_END_TIMEOUT_S = 2.0
_RESUMES_MAX = 8


@contextlib.asynccontextmanager
async def streamable_http(link: Link) -> AsyncGenerator[TransportStreams]:
    deliver, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    async with deliver, incoming, anyio.create_task_group() as group:
        exchanges = _Exchanges(link, group, deliver)
        try:
            yield incoming, exchanges
        finally:
            await exchanges.aclose()
            group.cancel_scope.cancel()
            await _end_session(link, exchanges)


class _Exchanges(MessageWriter):
    """A POST for each message; the answers of requests go to the SDK in the order in which they come."""

    def __init__(
        self, link: Link, group: TaskGroup, deliver: MemoryObjectSendStream[SessionMessage | Exception]
    ) -> None:
        super().__init__()
        self._link = link
        self._group = group
        self._deliver = deliver
        self._running: dict[RequestId, anyio.CancelScope] = {}
        self._version: str | None = None
        self.session_id: str | None = None

    async def take(self, item: SessionMessage) -> None:
        message = item.message
        headers = self._message_headers(item)
        if isinstance(message, JSONRPCRequest):
            scope = self._running[message.id] = anyio.CancelScope()
            self._group.start_soon(self._answer, message, headers, scope)
        elif isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            self._group.start_soon(self._cancel, message, headers)
        elif isinstance(message, JSONRPCNotification):
            # In order: a request that follows `initialized` must not arrive before it.
            await self._tell(message, headers)
        else:
            self._group.start_soon(self._tell, message, headers)

    async def _answer(self, request: JSONRPCRequest, headers: dict[str, str], scope: anyio.CancelScope) -> None:
        try:
            with scope:
                await self._deliver.send(await self._ask(request, headers))
        except LlamaStackError as error:
            await self._deliver.send(failed(request.id, error))
        finally:
            self._running.pop(request.id, None)

    async def _ask(self, request: JSONRPCRequest, headers: dict[str, str]) -> SessionMessage:
        reply = await self._link.send("POST", self._link.url, headers, encoded(request))
        try:
            if not 200 <= reply.status < 300:
                return SessionMessage(await self._refused(request, headers, reply))
            if request.method == "initialize":
                self.session_id = reply.headers.get(SESSION_ID)
            content_type = _content_type(reply)
            if content_type == JSON:
                answer = self._link.parse(await self._link.body(reply))
                return SessionMessage(self._own(request, answer))
            if content_type == EVENT_STREAM:
                return SessionMessage(await self._streamed(request, headers, reply))
            raise self._link.nonsense(f"answered with HTTP {reply.status} and neither JSON nor an event stream")
        finally:
            await reply.aclose()

    async def _streamed(
        self, request: JSONRPCRequest, headers: dict[str, str], reply: EgressReply
    ) -> JSONRPCResponse | JSONRPCError:
        """The answer from an event stream, which the server may cut and expect us to go on with."""
        seen = EventPosition()
        for _ in range(_RESUMES_MAX):
            try:
                answer = await self._answer_in(reply, seen)
            finally:
                await reply.aclose()
            if answer is not None:
                return self._own(request, answer)
            if seen.last_id is None:
                break
            await asyncio.sleep(max(seen.retry_ms, 100) / 1000)
            resume = {**headers, "accept": EVENT_STREAM, "last-event-id": seen.last_id}
            resume.pop("content-type")
            reply = await self._link.send("GET", self._link.url, resume)
            if reply.status != 200 or _content_type(reply) != EVENT_STREAM:
                break
        await reply.aclose()
        raise self._link.gone("ended its stream without an answer")

    async def _answer_in(self, reply: EgressReply, seen: EventPosition) -> JSONRPCResponse | JSONRPCError | None:
        """None if the stream ends without one. What the server asks in between goes to the SDK."""
        async for message in self._link.messages(self._link.events(reply, seen)):
            if not isinstance(message, JSONRPCRequest):
                return message
            await self._deliver.send(SessionMessage(message))
        return None

    async def _refused(self, request: JSONRPCRequest, headers: dict[str, str], reply: EgressReply) -> JSONRPCError:
        """The JSON-RPC error that may come with a status; everything else is raised."""
        if reply.status in (401, 403):
            raise self._link.refusal(reply.status)
        if reply.status == 404 and SESSION_ID in headers:
            # The session is over: by the protocol the request was not taken.
            raise self._link.refusal(404, sent=False)
        if reply.status >= 400 and _content_type(reply) == JSON:
            with contextlib.suppress(LlamaStackError):
                answer = self._link.parse(await self._link.body(reply))
                if isinstance(answer, JSONRPCError):
                    return answer.model_copy(update={"id": request.id})
        raise self._link.refusal(reply.status)

    def _own(self, request: JSONRPCRequest, answer: object) -> JSONRPCResponse | JSONRPCError:
        if not isinstance(answer, JSONRPCResponse | JSONRPCError):
            raise self._link.nonsense("answered a request with something that is not an answer")
        # Whatever comes as the reply to a request answers that request, also with a wrong or missing id.
        return answer.model_copy(update={"id": request.id})

    async def _cancel(self, notification: JSONRPCNotification, headers: dict[str, str]) -> None:
        """Since 2026 a closed connection is what cancels; before it was this notification."""
        if self._version not in MODERN_PROTOCOL_VERSIONS:
            await self._tell(notification, headers)
        request_id = (notification.params or {}).get("requestId")
        if isinstance(request_id, str | int) and request_id in self._running:
            self._running[request_id].cancel()

    async def _tell(
        self, message: JSONRPCNotification | JSONRPCResponse | JSONRPCError, headers: dict[str, str]
    ) -> None:
        """Send what is not answered. If the server is gone, the next request will say so."""
        with contextlib.suppress(LlamaStackError):
            reply = await self._link.send("POST", self._link.url, headers, encoded(message))
            await reply.aclose()

    def _message_headers(self, item: SessionMessage) -> dict[str, str]:
        if isinstance(item.message, JSONRPCRequest) and item.message.method == "initialize":
            # It negotiates the version; what a probe tried before does not hold for it.
            self._version = None
        own = item.metadata.headers if isinstance(item.metadata, ClientMessageMetadata) else None
        headers = self.headers() | {name.lower(): value for name, value in (own or {}).items()}
        self._version = headers.get(VERSION)
        return headers | {"accept": f"{JSON}, {EVENT_STREAM}", "content-type": JSON}

    def headers(self) -> dict[str, str]:
        found = {SESSION_ID: self.session_id, VERSION: self._version}
        return {name: value for name, value in found.items() if value}


async def _end_session(link: Link, exchanges: _Exchanges) -> None:
    """Tell the server that it may forget the session, also when we are cancelled."""
    if exchanges.session_id is None:
        return
    with anyio.move_on_after(_END_TIMEOUT_S, shield=True), contextlib.suppress(LlamaStackError):
        reply = await link.send("DELETE", link.url, exchanges.headers())
        await reply.aclose()


def _content_type(reply: EgressReply) -> str:
    return reply.headers.get("Content-Type", "").partition(";")[0].strip().lower()
