"""One session with one server, in a task of its own: the SDK's task groups must be left where they were entered.

This module and what it imports need the SDK, which takes long to import: `McpClients` does so at first use.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp.types import (
    CONNECTION_CLOSED,
    HEADER_MISMATCH,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    Implementation,
    PaginatedRequestParams,
    Tool,
)
from mcp.types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from llama_stack.mcp.errors import McpHTTPError, McpProtocolError, McpTimeout, McpUnreachable
from llama_stack.mcp.link import Link
from llama_stack.mcp.model import McpLimits, McpResult, McpServer, McpServerInfo, McpTool, Unanswered
from llama_stack.mcp.sse import http_sse
from llama_stack.mcp.stdio import child_process
from llama_stack.mcp.streamable import streamable_http
from llama_stack.net.egress import EgressClient
from llama_stack_api.errors import LlamaStackError, Overloaded

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams

_NOT_STREAMABLE: Final = frozenset({400, 404, 405, 406, 410, 415, 422, 501})
"""What a server that speaks only the older transport may answer to a POST."""

_MESSAGE_CHARS_MAX: Final = 1000
_SECRET_CHARS_MIN: Final = 6


class Session:
    """Opened at once, in the background. `on_retire` is called when it takes no more questions, in whatever way."""

    def __init__(
        self, server: McpServer, client: EgressClient, limits: McpLimits, on_retire: Callable[[], None]
    ) -> None:
        self._server = server
        self._name = f"MCP server '{server.label}'"
        self._client = client
        self._limits = limits
        self._on_retire = on_retire
        self._retired = False
        self._is_over = False
        self._asked = 0
        self._wake = asyncio.Event()
        self._sdk: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        # A failure to open may find nobody who waits any more.
        self._sdk.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._task = asyncio.create_task(self._run(), name=f"mcp {server.label}")

    @property
    def is_idle(self) -> bool:
        return not self._asked

    async def opened(self, deadline: float) -> None:
        async with self._within(deadline):
            await asyncio.shield(self._sdk)

    async def close(self) -> None:
        self.retire()
        self._task.cancel()
        await asyncio.wait([self._task])

    def retire(self) -> None:
        """Take no more questions, and end when those that were asked are answered."""
        if not self._retired:
            self._retired = True
            self._on_retire()
            self._wake.set()

    def when_ended(self, callback: Callable[[], None]) -> None:
        self._task.add_done_callback(lambda _: callback())

    async def list_tools(self, deadline: float) -> list[McpTool]:
        async with self._within(deadline):
            with self._question():
                return await self._list_tools()

    async def call_tool(self, name: str, arguments: Mapping[str, Any], deadline: float) -> McpResult:
        request = CallToolRequest(params=CallToolRequestParams(name=name, arguments=dict(arguments)))
        async with self._within(deadline):
            with self._question():
                return _result(await self._call(request))

    async def describe(self, deadline: float) -> McpServerInfo:
        async with self._within(deadline):
            with self._question():
                sdk = self._sdk.result()
                if sdk.protocol_version in MODERN_PROTOCOL_VERSIONS:
                    await sdk.session.send_discover(sdk.protocol_version)
                else:
                    await sdk.session.send_ping()
                return _info(sdk)

    async def _call(self, request: CallToolRequest) -> CallToolResult:
        # Not the SDK's `call_tool`: it throws away the result of a call that was made, if that breaks its schema.
        session = self._sdk.result().session
        try:
            return await session.send_request(request, CallToolResult)
        except MCPError as error:
            # Refused before it ran: the server wants headers that only the tool's definition tells of.
            if error.code != HEADER_MISMATCH or isinstance(error.data, Unanswered):
                raise
        await self._list_tools()
        return await session.send_request(request, CallToolResult)

    async def _list_tools(self) -> list[McpTool]:
        limits, session = self._limits, self._sdk.result().session
        tools: dict[str, McpTool] = {}
        size, cursor = 0, None
        for _ in range(limits.pages_max):
            page = await session.list_tools(params=PaginatedRequestParams(cursor=cursor) if cursor else None)
            for tool in page.tools:
                if not tool.name.isprintable() or not 0 < len(tool.name) <= limits.tool_name_chars_max:
                    continue
                found = _tool(tool)
                size += len(msgspec.json.encode(found))
                tools.setdefault(tool.name, found)
            if len(tools) > limits.tools_max:
                raise self._nonsense(f"has more than {limits.tools_max} tools")
            if size > limits.tools_bytes_max:
                raise self._nonsense(f"describes its tools in more than {limits.tools_bytes_max} bytes")
            if not page.next_cursor or page.next_cursor == cursor:
                return list(tools.values())
            cursor = page.next_cursor
        raise self._nonsense(f"lists its tools on more than {limits.pages_max} pages")

    async def _run(self) -> None:
        """The session's task, from its start to its end."""
        try:
            await self._open_and_stay()
        except Exception as error:  # noqa: BLE001 - the boundary of a task
            if not self._sdk.done():
                self._sdk.set_exception(self._meaning(error))
        finally:
            self.retire()
            if not self._sdk.done():
                self._sdk.set_exception(McpUnreachable(f"{self._name}: the connection was given up.", sent=False))

    async def _open_and_stay(self) -> None:
        transports = self._transports()
        for position, (mode, transport) in enumerate(transports, start=1):
            try:
                async with contextlib.AsyncExitStack() as stack:
                    sdk = Client(transport, mode=mode, client_info=Implementation(name="llama-stack", version="1"))
                    async with asyncio.timeout(self._limits.connect_timeout_s):
                        await stack.enter_async_context(sdk)
                    self._sdk.set_result(sdk)
                    return await self._stay()
            except Exception as error:  # noqa: BLE001 - the SDK's own, in whatever groups its tasks put them
                refused = self._meaning(error)
                if position == len(transports) or self._sdk.done() or not _may_speak_sse(refused):
                    raise refused from None

    def _transports(self) -> list[tuple[str, AbstractAsyncContextManager[TransportStreams]]]:
        """Those to try, with the way in which each negotiates the protocol's version."""
        command = self._server.command
        if command is not None:
            return [("auto", child_process(command, self._on_server_end))]
        link = Link(self._server, self._client, self._limits)
        older = ("legacy", http_sse(link, self._on_server_end))
        is_older = urlsplit(link.url).path.rstrip("/").endswith("/sse")
        return [older] if is_older else [("auto", streamable_http(link)), older]

    async def _stay(self) -> None:
        """Until the session is retired and has answered, was idle for too long, or the server has ended it."""
        try:
            while not (self._is_over or (self._retired and self.is_idle)):
                self._wake.clear()
                try:
                    async with asyncio.timeout(self._limits.idle_s):
                        await self._wake.wait()
                except TimeoutError:
                    if self.is_idle:
                        return
        finally:
            self._is_over = True

    def _on_server_end(self) -> None:
        self._is_over = True
        self.retire()

    @contextlib.asynccontextmanager
    async def _within(self, deadline: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(deadline):
                yield
        except TimeoutError:
            raise McpTimeout(f"{self._name} did not answer in time.") from None

    @contextlib.contextmanager
    def _question(self) -> Iterator[None]:
        """One question of the session, and what its failure means for the session."""
        if self._retired:
            raise McpUnreachable(f"{self._name}: the session has ended.", sent=False)
        if self._asked >= self._limits.calls_per_session_max:
            raise Overloaded(f"{self._name} already runs {self._asked} calls at a time; try again later.")
        self._asked += 1
        try:
            yield
        except (MCPError, ValidationError, RuntimeError) as error:
            meaning = self._meaning(error)
            if isinstance(meaning, McpUnreachable) or not getattr(meaning, "sent", True):
                self.retire()
            raise meaning from None
        finally:
            self._asked -= 1
            self._wake.set()

    def _meaning(self, error: Exception) -> LlamaStackError:
        """An exception of the SDK as one of ours, without our credentials even if the server repeats them."""
        match error:
            case LlamaStackError():
                return error
            case ExceptionGroup():
                return self._meaning(error.exceptions[0])
            case MCPError(data=Unanswered(error=unanswered)):
                return unanswered
            case MCPError(code=code) if code == CONNECTION_CLOSED and self._is_over:
                # Servers use this code for errors of their own as well.
                return McpUnreachable(f"{self._name} closed the connection.")
            case MCPError():
                return McpProtocolError(f"{self._name}: {self._without_secrets(error.message)}", error.code)
            case TimeoutError():
                return McpTimeout(f"{self._name} could not be reached: connecting timed out.", sent=False)
            case OSError():
                reason = os.strerror(error.errno).lower() if error.errno else type(error).__name__
                return McpUnreachable(f"{self._name} could not be started: {reason}.", sent=False)
            case _:
                return self._nonsense("gave an answer that breaks the protocol")

    def _without_secrets(self, message: str) -> str:
        secrets = [word for value in self._server.request_headers().values() for word in value.split()]
        for secret in sorted(secrets, key=len, reverse=True):
            if len(secret) >= _SECRET_CHARS_MIN:
                message = message.replace(secret, "[…]")
        return message[:_MESSAGE_CHARS_MAX]

    def _nonsense(self, what: str) -> McpProtocolError:
        return McpProtocolError(f"{self._name} {what}.")


def _may_speak_sse(error: LlamaStackError) -> bool:
    return isinstance(error, McpHTTPError) and error.http_status in _NOT_STREAMABLE


def _tool(tool: Tool) -> McpTool:
    annotations = tool.annotations and tool.annotations.model_dump(by_alias=True, mode="json", exclude_none=True)
    return McpTool(
        name=tool.name,
        input_schema=tool.input_schema,
        description=tool.description,
        title=tool.title or (annotations or {}).get("title"),
        output_schema=tool.output_schema,
        annotations=annotations or None,
    )


def _result(result: CallToolResult) -> McpResult:
    content = [block.model_dump(by_alias=True, mode="json", exclude_none=True) for block in result.content]
    return McpResult(content=content, structured=result.structured_content, is_error=bool(result.is_error))


def _info(sdk: Client) -> McpServerInfo:
    info = sdk.server_info
    return McpServerInfo(
        name=info.name if info else None,
        version=info.version if info else None,
        title=info.title if info else None,
        instructions=sdk.instructions,
        protocol_version=sdk.protocol_version,
    )
