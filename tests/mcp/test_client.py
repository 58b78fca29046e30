"""Listing, calling and describing: the same over every transport, against the SDK's real servers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mcp_server_time.server import create_server  # type: ignore[import-untyped]

from llama_stack.mcp.errors import McpProtocolError
from llama_stack.mcp.model import McpServer, StdioCommand
from tests.mcp.support import at, clients, soon
from tests.support.mcp_server import PIXEL, LoopbackMcp, read_log

pytestmark = pytest.mark.anyio

TRANSPORTS = ["streamable", "json", "legacy", "legacy json", "stateless", "sse", "stdio"]


@dataclass
class Served:
    server: McpServer
    log: Any


@pytest.fixture(params=TRANSPORTS)
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    transport = request.param
    if transport == "stdio":
        log = tmp_path / "calls.jsonl"
        command = StdioCommand(sys.executable, ["-m", "tests.support.mcp_server", "--stdio", "--log", str(log)])
        yield Served(McpServer(label="loopback", command=command), lambda: read_log(log))
        return
    with LoopbackMcp(
        json_response="json" in transport, legacy="legacy" in transport, stateless=transport == "stateless"
    ) as loopback:
        url = loopback.sse_url if transport == "sse" else loopback.url
        yield Served(at(url), lambda: loopback.log.lines)


async def test_tools_are_listed_as_plain_data(served: Served) -> None:
    async with clients() as mcp:
        tools = {tool.name: tool for tool in await mcp.list_tools(served.server, deadline=soon())}
    assert {"echo", "add", "slow", "fails", "image"} <= set(tools)
    assert tools["echo"].description == "Say the text again."
    assert tools["echo"].input_schema["required"] == ["text"]
    assert tools["add"].output_schema is not None
    assert tools["add"].output_schema["properties"]["sum"]["type"] == "integer"


async def test_a_call_gives_text_and_structured_content(served: Served) -> None:
    async with clients() as mcp:
        echo = await mcp.call_tool(served.server, "echo", {"text": "hello"}, deadline=soon())
        added = await mcp.call_tool(served.server, "add", {"a": 2, "b": 3}, deadline=soon())
    assert (echo.text, echo.is_error) == ("hello", False)
    assert added.structured == {"sum": 5}
    assert [line["tool"] for line in served.log()] == ["echo", "add"]


async def test_images_and_resources_are_data(served: Served) -> None:
    async with clients() as mcp:
        image = await mcp.call_tool(served.server, "image", {}, deadline=soon())
        note = await mcp.call_tool(served.server, "resource", {}, deadline=soon())
    assert image.content == [
        {"type": "text", "text": "a pixel"},
        {"type": "image", "data": PIXEL, "mimeType": "image/png"},
    ]
    assert note.content == [
        {"type": "resource", "resource": {"uri": "note://1", "mimeType": "text/plain", "text": "a note"}}
    ]


async def test_a_tool_that_fails_is_a_result(served: Served) -> None:
    async with clients() as mcp:
        result = await mcp.call_tool(served.server, "fails", {"why": "no such city"}, deadline=soon())
    assert result.is_error
    assert "no such city" in result.text


async def test_describe_says_who_is_there(served: Served) -> None:
    async with clients() as mcp:
        info = await mcp.describe(served.server, deadline=soon())
        again = await mcp.describe(served.server, deadline=soon())
    assert (info.name, info.version, info.instructions) == ("loopback", "1.2.3", "Tools for tests.")
    assert again == info


async def test_the_time_server_over_stdio() -> None:
    command = StdioCommand(sys.executable, ["-m", "mcp_server_time", "--local-timezone", "Europe/Paris"])
    server = McpServer(label="time", command=command)
    async with clients() as mcp:
        names = [tool.name for tool in await mcp.list_tools(server, deadline=soon())]
        result = await mcp.call_tool(
            server,
            "convert_time",
            {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"},
            deadline=soon(),
        )
        with pytest.raises(McpProtocolError) as unknown:
            await mcp.call_tool(server, "no_such_tool", {}, deadline=soon())
    assert names == ["get_current_time", "convert_time"]
    assert result.structured["time_difference"] == "+9.0h"
    assert unknown.value.rpc_code == -32602


@pytest.mark.parametrize("transport", ["url", "sse_url"])
async def test_the_time_server_over_http(transport: str) -> None:
    with LoopbackMcp(server=create_server("UTC")) as loopback:
        server = at(getattr(loopback, transport))
        async with clients() as mcp:
            tools = await mcp.list_tools(server, deadline=soon())
            result = await mcp.call_tool(server, "get_current_time", {"timezone": "Nowhere/Land"}, deadline=soon())
    assert [tool.annotations and tool.annotations["readOnlyHint"] for tool in tools] == [True, True]
    assert result.is_error
    assert "Invalid timezone" in result.text
