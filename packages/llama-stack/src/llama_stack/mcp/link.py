"""What both HTTP transports share: requests to one server with its credentials, and its answers within limits."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from typing import Any

from mcp.shared.message import SessionMessage
from mcp.types import (
    INTERNAL_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

from llama_stack.dialects.openai.sse import EventSplitter, data_of
from llama_stack.mcp.errors import McpError, McpHTTPError, McpProtocolError, McpTimeout, McpUnreachable
from llama_stack.mcp.model import McpLimits, McpServer, Unanswered
from llama_stack.net.egress import REPLY_TOO_LARGE, EgressClient, EgressRefused, EgressReply, NotConnected
from llama_stack_api.errors import LlamaStackError, ProviderError, ProviderTimeout

EVENT_STREAM = "text/event-stream"
JSON = "application/json"

_NOT_THEIRS = frozenset(
    {"host", "connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers of the connection, which no tool definition has a say in."""

_SERVER_REQUESTS_MAX = 100
"""Requests of a server to us on one stream, each of which costs us an answer. We offer nothing but `ping`."""


class Link:
    """Requests to one server. What it raises is ready for whoever called the tool."""

    def __init__(self, server: McpServer, client: EgressClient, limits: McpLimits) -> None:
        assert server.url is not None
        self.url = server.url
        self.limits = limits
        self._name = f"MCP server '{server.label}'"
        headers = server.request_headers()
        self._headers = {name: value for name, value in headers.items() if name not in _NOT_THEIRS}
        self._client = client

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> EgressReply:
        """The head of the reply. The caller's deadline is what ends it: here is none."""
        try:
            return await self._client.send(
                method, url, headers={**self._headers, **headers}, body=body, deadline=math.inf
            )
        except NotConnected as error:
            raise McpUnreachable(f"{self._name}: {error.message}", sent=False) from None
        except ProviderError as error:
            raise self._broken(error) from None
        except EgressRefused as error:
            raise EgressRefused(f"{self._name}: {error.message}") from None

    async def body(self, reply: EgressReply) -> bytes:
        try:
            return await reply.read(self.limits.message_bytes_max)
        except ProviderError as error:
            raise self._broken(error) from None

    async def messages(
        self, events: AsyncIterator[tuple[str, bytes]]
    ) -> AsyncIterator[JSONRPCRequest | JSONRPCResponse | JSONRPCError]:
        """The messages of an event stream, without notifications: nothing here listens to them."""
        requests = 0
        async for name, data in events:
            if name != "message" or not data:
                continue
            message = self.parse(data)
            if isinstance(message, JSONRPCRequest):
                requests += 1
                if requests > _SERVER_REQUESTS_MAX:
                    raise self.nonsense("sends us more requests than we answer")
            if isinstance(message, JSONRPCRequest | JSONRPCResponse | JSONRPCError):
                yield message

    async def events(self, reply: EgressReply, seen: EventPosition) -> AsyncIterator[tuple[str, bytes]]:
        """Names and data of server-sent events, to the end of the stream."""
        limit = self.limits.message_bytes_max
        splitter = EventSplitter(limit)
        try:
            async for chunk in reply.chunks():
                for event in splitter.feed(chunk).split(b"\n\n"):
                    if len(event) > limit:
                        raise ValueError
                    if event:
                        yield seen.read(event), data_of(event)
        except ValueError:
            raise self.nonsense(f"sent an event larger than {limit} bytes") from None
        except ProviderError as error:
            raise self._broken(error) from None

    def parse(self, data: bytes) -> JSONRPCMessage:
        try:
            return jsonrpc_message_adapter.validate_json(data, by_name=False)
        except ValidationError:
            raise self.nonsense("sent something that is not a JSON-RPC message") from None

    def refusal(self, status: int, *, sent: bool = True) -> McpHTTPError:
        why = {401: "wants (other) credentials", 403: "does not permit it with these credentials"}.get(status)
        message = f"{self._name} {why} (HTTP {status})." if why else f"{self._name} answered with HTTP {status}."
        return McpHTTPError(message, status, sent=sent)

    def nonsense(self, what: str) -> McpProtocolError:
        return McpProtocolError(f"{self._name} {what}.")

    def gone(self, what: str) -> McpUnreachable:
        return McpUnreachable(f"{self._name} {what}.")

    def _broken(self, error: ProviderError) -> McpError:
        message = f"{self._name}: {error.message}"
        if error.code == REPLY_TOO_LARGE:
            return McpProtocolError(message)
        return McpTimeout(message) if isinstance(error, ProviderTimeout) else McpUnreachable(message)


class EventPosition:
    """The last event id of a stream, by which it can be resumed, and how long the server wants us to wait before."""

    __slots__ = ("last_id", "retry_ms")

    def __init__(self) -> None:
        self.last_id: str | None = None
        self.retry_ms = 0

    def read(self, event: bytes) -> str:
        """Note the position of an event; its name."""
        name = "message"
        for line in event.split(b"\n"):
            field, _, value = line.partition(b":")
            text = value.removeprefix(b" ").decode("utf-8", "replace")
            if field == b"event":
                name = text
            elif field == b"id" and text.isascii() and text.isprintable():
                self.last_id = text or None
            elif field == b"retry" and text.isdigit():
                self.retry_ms = min(int(text[:9]), 60_000)
        return name


def encoded(message: JSONRPCMessage) -> bytes:
    return message.model_dump_json(by_alias=True, exclude_unset=True).encode()


def failed(request_id: RequestId, error: LlamaStackError) -> SessionMessage:
    """Answer a request that got no answer. The error itself goes with it, which no server can forge."""
    data: Any = Unanswered(error)
    failure = ErrorData(code=INTERNAL_ERROR, message="no answer", data=data)
    return SessionMessage(JSONRPCError(jsonrpc="2.0", id=request_id, error=failure))
