"""MCP's older HTTP transport (2024-11-05) for the SDK: one event stream for all answers, a POST for each message."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCNotification, JSONRPCRequest

from llama_stack.mcp.link import EVENT_STREAM, JSON, EventPosition, Link, encoded, failed
from llama_stack.mcp.writer import MessageWriter
from llama_stack_api.errors import LlamaStackError

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams


@contextlib.asynccontextmanager
async def http_sse(link: Link, on_end: Callable[[], None]) -> AsyncGenerator[TransportStreams]:
    """`on_end` is called when the server has closed its stream, and with it the session."""
    reply = await link.send("GET", link.url, {"accept": EVENT_STREAM})
    try:
        if reply.status != 200:
            raise link.refusal(reply.status)
        events = link.events(reply, EventPosition())
        endpoint = await _endpoint(link, events)
        deliver, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        async with deliver, incoming, anyio.create_task_group() as group:
            group.start_soon(_receive, link, events, deliver, on_end)
            posts = _Posts(link, endpoint, group, deliver)
            try:
                yield incoming, posts
            finally:
                await posts.aclose()
                group.cancel_scope.cancel()
    finally:
        await reply.aclose()


async def _endpoint(link: Link, events: AsyncIterator[tuple[str, bytes]]) -> str:
    """Where messages go: the first thing that the server says. They hold our credentials: same origin only."""
    async for name, data in events:
        if name == "endpoint":
            endpoint = urljoin(link.url, data.decode("utf-8", "replace"))
            if urlsplit(endpoint)[:2] != urlsplit(link.url)[:2]:
                raise link.nonsense("wants its messages at another origin, which is not allowed")
            return endpoint
    raise link.gone("ended its stream before it said where to send messages")


async def _receive(
    link: Link,
    events: AsyncIterator[tuple[str, bytes]],
    deliver: MemoryObjectSendStream[SessionMessage | Exception],
    on_end: Callable[[], None],
) -> None:
    try:
        # A broken stream and an ended one are the same: whoever waits for an answer learns that none will come.
        with contextlib.suppress(LlamaStackError, anyio.BrokenResourceError):
            async for message in link.messages(events):
                await deliver.send(SessionMessage(message))
    finally:
        on_end()
        deliver.close()


class _Posts(MessageWriter):
    def __init__(
        self, link: Link, endpoint: str, group: TaskGroup, deliver: MemoryObjectSendStream[SessionMessage | Exception]
    ) -> None:
        super().__init__()
        self._link = link
        self._endpoint = endpoint
        self._group = group
        self._failures = deliver

    async def take(self, item: SessionMessage) -> None:
        message = item.message
        if isinstance(message, JSONRPCNotification) and message.method != "notifications/cancelled":
            await self._post(item)
        else:
            self._group.start_soon(self._post, item)

    async def _post(self, item: SessionMessage) -> None:
        message = item.message
        try:
            reply = await self._link.send("POST", self._endpoint, {"content-type": JSON}, encoded(message))
            await reply.aclose()
            if not 200 <= reply.status < 300:
                raise self._link.refusal(reply.status, sent=reply.status != 404)
        except LlamaStackError as error:
            if isinstance(message, JSONRPCRequest):
                with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                    await self._failures.send(failed(message.id, error))
