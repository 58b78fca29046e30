"""A server as a child process, with the SDK's transport: for commands of the operator's config alone."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCNotification

from llama_stack.mcp.model import StdioCommand

if TYPE_CHECKING:
    from mcp.client._transport import ReadStream, TransportStreams


@contextlib.asynccontextmanager
async def child_process(command: StdioCommand, on_end: Callable[[], None]) -> AsyncGenerator[TransportStreams]:
    """`on_end` is called when the process has closed its output. Leaving stops the process and all that it started."""
    parameters = StdioServerParameters(command=command.command, args=list(command.args), env=dict(command.env))
    async with stdio_client(parameters, errlog=sys.stderr) as (source, sink):
        deliver, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        async with deliver, incoming, anyio.create_task_group() as group:
            group.start_soon(_receive, source, deliver, on_end)
            try:
                yield incoming, sink
            finally:
                group.cancel_scope.cancel()


async def _receive(
    source: ReadStream[SessionMessage | Exception],
    deliver: MemoryObjectSendStream[SessionMessage | Exception],
    on_end: Callable[[], None],
) -> None:
    try:
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async for item in source:
                if isinstance(item, SessionMessage) and not isinstance(item.message, JSONRPCNotification):
                    await deliver.send(item)
    finally:
        on_end()
        deliver.close()
