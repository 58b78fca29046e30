"""MCP servers for the rest of the house: list tools, call one, ask who is there. Sessions are kept and reused."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from llama_stack.mcp.errors import McpError, McpHTTPError, McpTimeout, McpUnreachable
from llama_stack.mcp.model import McpLimits, McpResult, McpServer, McpServerInfo, McpTool
from llama_stack.net.egress import Egress
from llama_stack_api.errors import Overloaded

if TYPE_CHECKING:
    from llama_stack.mcp.session import Session

T = TypeVar("T")

_SESSION_MODULE = "llama_stack.mcp.session"


class McpClients:
    """Every method raises `McpError`s, and `EgressRefused` where the address of a server is not open to its caller.

    Deadlines are times of the running loop's clock; None stands for `limits.call_timeout_s` from now. A call that is
    cancelled, or whose deadline is over, is cancelled on the server too.
    """

    def __init__(self, egress: Egress, *, limits: McpLimits | None = None) -> None:
        self._limits = limits or McpLimits()
        self._clients = {
            trusted: egress.client(trusted=trusted, bytes_max=self._limits.reply_bytes_max) for trusted in (False, True)
        }
        self._sessions: dict[bytes, Session] = {}
        self._retired: set[Session] = set()
        self._module: ModuleType | None = None
        self._closed = False

    async def list_tools(self, server: McpServer, *, deadline: float | None = None) -> list[McpTool]:
        """All tools, page by page, in the server's order. Asked a second time if the connection turns out dead."""
        deadline = self._deadline(deadline)
        return await self._ask(server, deadline, lambda session: session.list_tools(deadline), _is_lost)

    async def call_tool(
        self, server: McpServer, name: str, arguments: Mapping[str, Any], *, deadline: float | None = None
    ) -> McpResult:
        """Run a tool. Never sent twice, unless it is certain that the server did not take the first one.

        A tool that fails is a result with `is_error`; an unknown tool or bad arguments may be an `McpProtocolError`."""
        deadline = self._deadline(deadline)
        return await self._ask(
            server, deadline, lambda session: session.call_tool(name, arguments, deadline), _was_not_sent
        )

    async def describe(self, server: McpServer, *, deadline: float | None = None) -> McpServerInfo:
        """What the server says of itself, after it has shown that it answers."""
        deadline = self._deadline(deadline)
        return await self._ask(server, deadline, lambda session: session.describe(deadline), _is_lost)

    async def close(self) -> None:
        """End every session, and the programs that were started for them."""
        self._closed = True
        sessions = [*self._sessions.values(), *self._retired]
        await asyncio.gather(*(session.close() for session in sessions))
        await asyncio.gather(*(client.aclose() for client in self._clients.values()))

    async def _ask(
        self,
        server: McpServer,
        deadline: float,
        question: Callable[[Session], Awaitable[T]],
        may_repeat: Callable[[McpError], bool],
    ) -> T:
        session = await self._session(server, deadline)
        try:
            return await question(session)
        except McpError as error:
            if not may_repeat(error):
                raise
        session = await self._session(server, deadline)
        return await question(session)

    async def _session(self, server: McpServer, deadline: float) -> Session:
        """A session that is up: the one that is kept for the server, or a new one."""
        if self._module is None:
            self._module = await asyncio.to_thread(importlib.import_module, _SESSION_MODULE)
        if self._closed:  # perhaps while that was imported
            raise McpUnreachable(f"MCP server '{server.label}' cannot be asked: this server is stopping.", sent=False)
        key = server.key()
        session = self._sessions.get(key)
        if session is None:
            self._make_room()
            session = self._module.Session(server, self._clients[server.trusted], self._limits, lambda: self._drop(key))
            self._sessions[key] = session
        else:
            # The least recently used one stays first.
            self._sessions[key] = self._sessions.pop(key)
        await session.opened(deadline)
        return session

    def _make_room(self) -> None:
        if len(self._sessions) < self._limits.sessions_max:
            return
        idle = next((key for key, session in self._sessions.items() if session.is_idle), None)
        if idle is None:
            raise Overloaded(f"All {self._limits.sessions_max} sessions with MCP servers are busy; try again later.")
        self._sessions[idle].retire()

    def _drop(self, key: bytes) -> None:
        """The session under `key` takes no more questions; it ends when it has answered those that it has."""
        session = self._sessions.pop(key)
        self._retired.add(session)
        session.when_ended(lambda: self._retired.discard(session))

    def _deadline(self, deadline: float | None) -> float:
        return asyncio.get_running_loop().time() + self._limits.call_timeout_s if deadline is None else deadline


def _was_not_sent(error: McpError) -> bool:
    return not error.sent


def _is_lost(error: McpError) -> bool:
    """The connection or the session is gone, so that a new one may do better."""
    if isinstance(error, McpHTTPError):
        return not error.sent
    return isinstance(error, McpUnreachable) and not isinstance(error, McpTimeout)
