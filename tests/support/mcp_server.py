"""An MCP server on loopback: the SDK's real one, over streamable HTTP, SSE and stdio, which records what it is asked.

    with LoopbackMcp() as server:
        ...                                       # call server.url (streamable HTTP) or server.sse_url
        assert server.log.calls("add") == [{"a": 1, "b": 2}]

    python -m tests.support.mcp_server --log calls.jsonl      # in its own process: prints {"url", "sse_url"}
    python -m tests.support.mcp_server --log calls.jsonl --stdio

Tools: `echo`, `add` (structured), `slow`, `fails`, `structured`, `image`, `big`, `resource`, `pid`, `ask` (reports
progress). Each start and end of a call is a line of the log, written before the tool goes on.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import socket
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import EmbeddedResource, ImageContent, TextContent, TextResourceContents
from pydantic import BaseModel

PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 16).decode()
WAIT_S = 5.0


class CallLog:
    """What the tools did, in order: `{"tool", "state": "started" | "finished" | "cancelled", "arguments"}`. With a
    `path` also as lines of that file, which survive the process."""

    def __init__(self, path: Path | None = None) -> None:
        self.lines: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600) if path else None

    def add(self, tool: str, state: str, arguments: dict[str, Any]) -> None:
        line = {"tool": tool, "state": state, "arguments": arguments}
        with self._changed:
            self.lines.append(line)
            if self._file is not None:
                os.write(self._file, json.dumps(line).encode() + b"\n")
            self._changed.notify_all()

    def calls(self, tool: str, state: str = "started") -> list[dict[str, Any]]:
        """The arguments of the calls of a tool that reached a state."""
        return [line["arguments"] for line in self.lines if (line["tool"], line["state"]) == (tool, state)]

    def wait_for(self, tool: str, state: str, count: int = 1) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.calls(tool, state)) >= count, WAIT_S):
                raise AssertionError(f"{tool} was not {state} {count} times: {self.lines}")


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines that a server in another process wrote."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class Sum(BaseModel):
    sum: int


def build(log: CallLog) -> MCPServer:
    server = MCPServer("loopback", version="1.2.3", instructions="Tools for tests.", log_level="CRITICAL")

    @server.tool(description="Say the text again.")
    def echo(text: str) -> str:
        log.add("echo", "started", {"text": text})
        return text

    @server.tool()
    def add(a: int, b: int) -> Sum:
        log.add("add", "started", {"a": a, "b": b})
        return Sum(sum=a + b)

    @server.tool()
    async def slow(seconds: float) -> str:
        log.add("slow", "started", {"seconds": seconds})
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            log.add("slow", "cancelled", {"seconds": seconds})
            raise
        log.add("slow", "finished", {"seconds": seconds})
        return "done"

    @server.tool()
    async def ask(ctx: Context) -> str:
        """Reports progress and logs, which nobody listens to."""
        log.add("ask", "started", {})
        await ctx.report_progress(1, 2)
        return "asked"

    @server.tool()
    def pid() -> int:
        return os.getpid()

    _add_content_tools(server, log)
    return server


def _add_content_tools(server: MCPServer, log: CallLog) -> None:
    @server.tool()
    def fails(why: str) -> str:
        log.add("fails", "started", {"why": why})
        raise ToolError(why)

    @server.tool()
    def structured() -> dict[str, Any]:
        log.add("structured", "started", {})
        return {"cities": ["Oslo", "Rome"], "count": 2}

    @server.tool(structured_output=False)
    def image() -> list[ImageContent | TextContent]:
        log.add("image", "started", {})
        return [TextContent(text="a pixel"), ImageContent(data=PIXEL, mime_type="image/png")]

    @server.tool(structured_output=False)
    def resource() -> EmbeddedResource:
        log.add("resource", "started", {})
        return EmbeddedResource(resource=TextResourceContents(uri="note://1", mime_type="text/plain", text="a note"))

    @server.tool()
    def big(size: int) -> str:
        log.add("big", "started", {"size": size})
        return "x" * size


@dataclass
class HttpRequest:
    method: str
    path: str
    headers: dict[str, str]


@dataclass
class _App:
    """Both transports in one application, behind a check of the Authorization header.

    `legacy`: it knows the handshake and its sessions, and not the protocol of 2026.
    """

    server: MCPServer
    authorization: str | None = None
    json_response: bool = False
    stateless: bool = False
    legacy: bool = False
    sse_path: str = "/sse"
    requests: list[HttpRequest] = field(default_factory=list)
    forgotten: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.streamable = self.server.streamable_http_app(
            json_response=self.json_response, stateless_http=self.stateless
        )
        self.sse = self.server.sse_app(sse_path=self.sse_path)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return await self.streamable(scope, receive, send)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.requests.append(HttpRequest(scope["method"], scope["path"], headers))
        if self.authorization is not None and headers.get("authorization") != self.authorization:
            return await _refuse(send, 401)
        if headers.get("mcp-session-id") in self.forgotten:
            return await _refuse(send, 404)
        if self.legacy and headers.get("mcp-method") == "server/discover":
            return await _refuse(send, 400)
        app = self.streamable if scope["path"] == "/mcp" else self.sse
        await app(scope, receive, send)


async def _refuse(send: Any, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"refused"})


class LoopbackMcp:
    """The server in a thread with an event loop of its own. `server` is one with other tools, if these do not do."""

    def __init__(self, log: CallLog | None = None, *, server: MCPServer | None = None, **options: Any) -> None:
        self.log = log or CallLog()
        self.app = _App(server or build(self.log), **options)
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(128)
        self.base_url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            self.app, lifespan="on", log_level="critical", log_config=None, timeout_graceful_shutdown=0
        )
        self._uvicorn = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"{self.base_url}/mcp"

    @property
    def sse_url(self) -> str:
        return self.base_url + self.app.sse_path

    @property
    def session_ids(self) -> set[str]:
        """Of the streamable HTTP sessions that requests named."""
        named = {request.headers.get("mcp-session-id") for request in self.app.requests}
        return {session_id for session_id in named if session_id}

    def requests(self, method: str, path: str = "/mcp") -> list[HttpRequest]:
        return [request for request in self.app.requests if (request.method, request.path) == (method, path)]

    def forget_sessions(self) -> None:
        """Answer 404 to every session that there is, as after a restart."""
        self.app.forgotten |= self.session_ids

    def serve(self) -> None:
        """In this thread, until a signal."""
        self._uvicorn.run(sockets=[self._socket])

    def _run(self) -> None:
        asyncio.run(self._uvicorn.serve(sockets=[self._socket]))

    def __enter__(self) -> LoopbackMcp:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._uvicorn.should_exit = True
        self._thread.join(WAIT_S)
        self._socket.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--log", type=Path)
    parser.add_argument("--authorization")
    parser.add_argument("--stdio", action="store_true")
    chosen = parser.parse_args()
    log = CallLog(chosen.log)
    if chosen.stdio:
        return asyncio.run(build(log).run_stdio_async())
    server = LoopbackMcp(log, authorization=chosen.authorization)
    json.dump({"url": server.url, "sse_url": server.sse_url}, sys.stdout)
    print(flush=True)
    server.serve()


if __name__ == "__main__":
    main()
