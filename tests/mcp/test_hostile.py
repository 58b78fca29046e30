"""Servers that do not behave: what they send is bounded, and named for what it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from llama_stack.mcp.errors import McpError, McpProtocolError, McpUnreachable
from tests.mcp.support import at, clients, soon
from tests.support.files_server import Asked, FileServer, Writer, file_server, reply

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
TOOL = {"name": "t", "inputSchema": {"type": "object"}}


def result(request: dict[str, Any], value: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": value}).encode()


def event(message: bytes, more: str = "") -> bytes:
    return f"{more}data: {message.decode()}\n\n".encode()


class Scripted:
    """A streamable HTTP server whose answer to one method is the test's."""

    def __init__(self, server: FileServer) -> None:
        self._server = server
        self._methods: dict[str, Callable[[dict[str, Any], Asked, Writer], Awaitable[None]]] = {}
        server.answers["/mcp"] = self._answer
        self.url = server.url("/mcp")

    def on(self, method: str) -> Callable[[Any], Any]:
        def add(answer: Any) -> Any:
            self._methods[method] = answer
            return answer

        return add

    def gives(self, method: str, value: Callable[[dict[str, Any]], Any]) -> None:
        async def answer(request: dict[str, Any], asked: Asked, writer: Writer) -> None:
            await reply(200, result(request, value(request)), JSON)(asked, writer)

        self._methods[method] = answer

    def asked(self, method: str) -> list[dict[str, Any]]:
        bodies = [json.loads(asked.body) for asked in self._server.asked if asked.body]
        return [body for body in bodies if body.get("method") == method]

    async def _answer(self, asked: Asked, writer: Writer) -> None:
        request = json.loads(asked.body) if asked.body else {"method": asked.method}
        own = self._methods.get(str(request.get("method")))
        if own is not None:
            return await own(request, asked, writer)
        if request.get("method") == "initialize":
            info = {"name": "scripted", "version": "0"}
            value = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
            return await reply(200, result(request, value), JSON | {"Mcp-Session-Id": "s1"})(asked, writer)
        await reply(400 if {"id", "method"} <= request.keys() else 202, b"")(asked, writer)


@pytest.fixture
async def server() -> AsyncIterator[FileServer]:
    async with file_server() as running:
        yield running


@pytest.fixture
def scripted(server: FileServer) -> Scripted:
    return Scripted(server)


async def fails(url: str, call: bool = False, **limits: Any) -> McpError:
    async with clients(**limits) as mcp:
        server = at(url, authorization="s3cret-token")
        asked = mcp.call_tool(server, "t", {}, deadline=soon()) if call else mcp.list_tools(server, deadline=soon())
        with pytest.raises(McpError) as caught:
            await asked
    return caught.value


async def test_a_plain_listing_works(scripted: Scripted) -> None:
    scripted.gives("tools/list", lambda request: {"tools": [TOOL]})
    async with clients() as mcp:
        assert [tool.name for tool in await mcp.list_tools(at(scripted.url), deadline=soon())] == ["t"]


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[1, 2]", b'{"jsonrpc": "2.0"}', b"[" * 100_000, b"\xff\xfe"])
async def test_wrong_json(scripted: Scripted, body: bytes) -> None:
    @scripted.on("tools/list")
    async def answer(request: dict[str, Any], asked: Asked, writer: Writer) -> None:
        await reply(200, body, JSON)(asked, writer)

    assert isinstance(await fails(scripted.url), McpProtocolError)


@pytest.mark.parametrize("value", [{}, {"tools": 1}, {"tools": [{"name": 5}]}, {"tools": [{"name": "t"}]}])
async def test_wrong_results(scripted: Scripted, value: Any) -> None:
    scripted.gives("tools/list", lambda request: value)
    assert isinstance(await fails(scripted.url), McpProtocolError)


async def test_a_page_instead_of_an_answer(scripted: Scripted) -> None:
    @scripted.on("tools/list")
    async def answer(request: dict[str, Any], asked: Asked, writer: Writer) -> None:
        await reply(200, b"<html>", {"Content-Type": "text/html"})(asked, writer)

    assert "neither JSON nor an event stream" in (await fails(scripted.url)).message


async def test_too_many_tools(scripted: Scripted) -> None:
    scripted.gives("tools/list", lambda request: {"tools": [TOOL | {"name": f"t{n}"} for n in range(30)]})
    assert "more than 20 tools" in (await fails(scripted.url, tools_max=20)).message
    assert "more than 1000 bytes" in (await fails(scripted.url, tools_bytes_max=1000)).message


async def test_pages_are_put_together_and_have_an_end(scripted: Scripted) -> None:
    def page(request: dict[str, Any]) -> dict[str, Any]:
        number = int(request.get("params", {}).get("cursor", 0))
        more = {"nextCursor": str(number + 1)} if number < 4 else {}
        return {"tools": [TOOL | {"name": f"t{number}"}], **more}

    scripted.gives("tools/list", page)
    async with clients() as mcp:
        tools = await mcp.list_tools(at(scripted.url), deadline=soon())
    assert [tool.name for tool in tools] == ["t0", "t1", "t2", "t3", "t4"]
    assert "more than 3 pages" in (await fails(scripted.url, pages_max=3)).message


async def test_names_that_cannot_be_names_are_left_out(scripted: Scripted) -> None:
    names = ["fine", "", "a\nb", "a\x1b[31m", "x" * 300, "with space", "größe/ü", "fine"]
    scripted.gives("tools/list", lambda request: {"tools": [TOOL | {"name": name} for name in names]})
    async with clients() as mcp:
        tools = await mcp.list_tools(at(scripted.url), deadline=soon())
    assert [tool.name for tool in tools] == ["fine", "with space", "größe/ü"]


async def test_an_answer_that_is_too_large(scripted: Scripted) -> None:
    text = {"content": [{"type": "text", "text": "x" * 20_000}]}
    scripted.gives("tools/call", lambda request: text)
    assert "larger than 10000 bytes" in (await fails(scripted.url, call=True, message_bytes_max=10_000)).message

    @scripted.on("tools/call")
    async def stream(request: dict[str, Any], asked: Asked, writer: Writer) -> None:
        writer.write(EVENTS + event(result(request, text)))
        writer.close()

    assert "larger than 10000 bytes" in (await fails(scripted.url, call=True, message_bytes_max=10_000)).message
    assert len(scripted.asked("tools/call")) == 2


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (
            {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}},
            "larger than",
        ),
        ({"jsonrpc": "2.0", "id": 7, "method": "ping"}, "more requests than we answer"),
    ],
)
async def test_streams_without_end(scripted: Scripted, message: dict[str, Any], why: str) -> None:
    @scripted.on("tools/call")
    async def endless(request: dict[str, Any], asked: Asked, writer: Writer) -> None:
        writer.write(EVENTS)
        while not writer.is_closing():
            writer.write(event(json.dumps(message).encode()))
            await writer.drain()

    assert why in (await fails(scripted.url, call=True, reply_bytes_max=200_000)).message


async def test_a_connection_that_breaks_is_no_reason_to_call_again(scripted: Scripted) -> None:
    @scripted.on("tools/call")
    async def cut(request: dict[str, Any], asked: Asked, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        writer.close()

    error = await fails(scripted.url, call=True)
    assert isinstance(error, McpUnreachable)
    assert error.sent
    assert len(scripted.asked("tools/call")) == 1


async def test_a_listing_is_asked_for_again(scripted: Scripted) -> None:
    @scripted.on("tools/list")
    async def cut_once(request: dict[str, Any], asked: Asked, writer: Writer) -> None:
        scripted.gives("tools/list", lambda request: {"tools": [TOOL]})
        writer.close()

    async with clients() as mcp:
        assert len(await mcp.list_tools(at(scripted.url), deadline=soon())) == 1
    assert len(scripted.asked("initialize")) == 2


async def test_a_stream_that_pauses_is_resumed(scripted: Scripted) -> None:
    waiting: list[dict[str, Any]] = []

    @scripted.on("tools/call")
    async def pause(request: dict[str, Any], asked: Asked, writer: Writer) -> None:
        waiting.append(request)
        writer.write(EVENTS + b"id: e1\nretry: 1\ndata:\n\n")
        writer.close()

    @scripted.on("GET")
    async def resume(request: dict[str, Any], asked: Asked, writer: Writer) -> None:
        assert asked.headers["last-event-id"] == "e1"
        writer.write(EVENTS + event(result(waiting[0], {"content": [{"type": "text", "text": "late"}]}), "id: e2\n"))
        writer.close()

    async with clients() as mcp:
        assert (await mcp.call_tool(at(scripted.url), "t", {}, deadline=soon())).text == "late"
    assert len(waiting) == 1


async def test_a_resumed_stream_that_stays_open_is_closed_by_us(scripted: Scripted) -> None:
    waiting: list[dict[str, Any]] = []
    left = asyncio.Event()

    @scripted.on("tools/call")
    async def pause(request: dict[str, Any], asked: Asked, writer: Writer) -> None:
        waiting.append(request)
        writer.write(EVENTS + b"id: e1\nretry: 1\ndata:\n\n")
        writer.close()

    @scripted.on("GET")
    async def resume(request: dict[str, Any], asked: Asked, writer: Writer) -> None:
        writer.write(EVENTS + event(result(waiting[0], {"content": []}), "id: e2\n"))
        while not writer.is_closing():
            writer.write(b": still here\n\n")
            await asyncio.sleep(0.01)
        left.set()

    async with clients() as mcp:
        await mcp.call_tool(at(scripted.url), "t", {}, deadline=soon())
        async with asyncio.timeout(10):
            await left.wait()


async def test_errors_do_not_repeat_our_credentials(scripted: Scripted) -> None:
    @scripted.on("tools/call")
    async def refuse(request: dict[str, Any], asked: Asked, writer: Writer) -> None:
        error = {"code": -32000, "message": f"denied for {asked.headers['authorization']} " + "x" * 5000}
        await reply(200, json.dumps({"jsonrpc": "2.0", "id": request["id"], "error": error}).encode(), JSON)(
            asked, writer
        )

    error = await fails(scripted.url, call=True)
    assert isinstance(error, McpProtocolError)
    assert error.rpc_code == -32000
    assert "denied for" in error.message
    assert "s3cret-token" not in error.message
    assert len(error.message) < 1200


async def test_redirects_do_not_carry_the_call_elsewhere(scripted: Scripted) -> None:
    async with file_server() as elsewhere:

        @scripted.on("tools/call")
        async def leave(request: dict[str, Any], asked: Asked, writer: Writer) -> None:
            await reply(307, b"", {"Location": elsewhere.url("/mcp")})(asked, writer)

        assert (await fails(scripted.url, call=True)).upstream_status == 307
        assert elsewhere.asked == []


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1/m", "//example.com/m", "https://127.0.0.1/m"])
async def test_sse_endpoints_of_another_origin(server: FileServer, endpoint: str) -> None:
    async def stream(asked: Asked, writer: Writer) -> None:
        writer.write(EVENTS + f"event: endpoint\ndata: {endpoint}\n\n".encode())

    server.answers["/sse"] = stream
    assert "another origin" in (await fails(server.url("/sse"))).message


async def test_an_sse_stream_that_says_nothing(server: FileServer) -> None:
    async def stream(asked: Asked, writer: Writer) -> None:
        writer.write(EVENTS)

    server.answers["/sse"] = stream
    error = await fails(server.url("/sse"), connect_timeout_s=0.2)
    assert "connecting timed out" in error.message


async def test_headers_of_the_connection_are_ours(scripted: Scripted, server: FileServer) -> None:
    scripted.gives("tools/list", lambda request: {"tools": []})
    headers = {"Host": "elsewhere.example", "Transfer-Encoding": "chunked", "X-Mine": "yes", "Accept": "nothing"}
    async with clients() as mcp:
        await mcp.list_tools(at(scripted.url, headers=headers), deadline=soon())
        with pytest.raises(McpError, match="a header for it, is not valid"):
            await mcp.list_tools(at(scripted.url, headers={"X-Bad": "a\r\nHost: b"}), deadline=soon())
    assert {asked.headers["host"] for asked in server.asked} == {f"127.0.0.1:{server.port}"}
    assert server.asked[-1].headers["x-mine"] == "yes"
    assert "text/event-stream" in server.asked[0].headers["accept"]


def test_secrets_are_not_printed() -> None:
    server = at("http://example.com/?key=s3cret", authorization="t0ken", headers={"X-Key": "k3y"})
    assert all(secret not in repr(server) for secret in ("s3cret", "t0ken", "k3y"))
