"""Sessions: kept, shared, replaced when they are lost, and ended; calls that are cut off."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from llama_stack.mcp.errors import McpHTTPError, McpTimeout, McpUnreachable
from llama_stack.mcp.model import McpServer, StdioCommand
from llama_stack.net.egress import EgressRefused
from llama_stack_api.errors import Overloaded
from tests.mcp.support import at, clients, soon, until
from tests.support.mcp_server import LoopbackMcp, read_log

pytestmark = pytest.mark.anyio


def stdio(log: Path) -> McpServer:
    arguments = ["-m", "tests.support.mcp_server", "--stdio", "--log", str(log)]
    return McpServer(label="child", command=StdioCommand(sys.executable, arguments))


async def test_a_session_is_kept() -> None:
    with LoopbackMcp(legacy=True) as loopback:
        async with clients() as mcp:
            await mcp.list_tools(at(loopback.url), deadline=soon())
            await mcp.call_tool(at(loopback.url), "echo", {"text": "a"}, deadline=soon())
            await mcp.call_tool(at(loopback.url, headers={}), "echo", {"text": "b"}, deadline=soon())
        assert len(loopback.session_ids) == 1
        assert [request.headers["mcp-session-id"] for request in loopback.requests("DELETE")] == [*loopback.session_ids]


async def test_sessions_are_not_shared_across_credentials_and_scopes() -> None:
    with LoopbackMcp(legacy=True) as loopback:
        servers = [
            at(loopback.url),
            at(loopback.url, authorization="one"),
            at(loopback.url, authorization="two"),
            at(loopback.url, headers={"X-Key": "k"}),
            at(loopback.url, scope="another tenant"),
        ]
        async with clients() as mcp:
            for server in (*servers, *servers):
                await mcp.call_tool(server, "echo", {"text": "a"}, deadline=soon())
        assert len(loopback.session_ids) == 5
        sent = {request.headers.get("authorization") for request in loopback.requests("POST")}
        assert sent == {None, "Bearer one", "Bearer two"}


async def test_those_who_come_at_once_share_one_session() -> None:
    with LoopbackMcp(legacy=True) as loopback:
        async with clients() as mcp:
            results = await asyncio.gather(
                *(mcp.call_tool(at(loopback.url), "echo", {"text": str(n)}, deadline=soon()) for n in range(10))
            )
        assert [result.text for result in results] == [str(n) for n in range(10)]
        assert len(loopback.session_ids) == 1


async def test_an_expired_session_is_replaced_and_the_call_made_once() -> None:
    with LoopbackMcp(legacy=True) as loopback:
        async with clients() as mcp:
            await mcp.call_tool(at(loopback.url), "echo", {"text": "a"}, deadline=soon())
            loopback.forget_sessions()
            result = await mcp.call_tool(at(loopback.url), "add", {"a": 1, "b": 1}, deadline=soon())
            loopback.forget_sessions()
            tools = await mcp.list_tools(at(loopback.url), deadline=soon())
        assert result.structured == {"sum": 2}
        assert len(tools) > 5
        assert len(loopback.session_ids) == 3
        assert loopback.log.calls("add") == [{"a": 1, "b": 1}]


async def test_an_idle_session_ends() -> None:
    with LoopbackMcp(legacy=True) as loopback:
        async with clients(idle_s=0.05) as mcp:
            await mcp.list_tools(at(loopback.url), deadline=soon())
            await until(lambda: loopback.requests("DELETE"))
            await mcp.list_tools(at(loopback.url), deadline=soon())
        assert len(loopback.session_ids) == 2


async def test_a_call_outlasts_the_idle_time() -> None:
    with LoopbackMcp(legacy=True) as loopback:
        async with clients(idle_s=0.05) as mcp:
            result = await mcp.call_tool(at(loopback.url), "slow", {"seconds": 0.3}, deadline=soon())
        assert result.text == "done"


async def test_the_longest_unused_session_makes_room() -> None:
    with LoopbackMcp(legacy=True) as loopback:
        async with clients(sessions_max=2) as mcp:
            for scope in ("a", "b", "a", "c", "a"):
                await mcp.call_tool(at(loopback.url, scope=scope), "echo", {"text": scope}, deadline=soon())
            assert len(loopback.session_ids) == 3
            await until(lambda: len(loopback.requests("DELETE")) == 1)
            running = [
                asyncio.create_task(mcp.call_tool(at(loopback.url, scope=scope), "slow", {"seconds": 30}))
                for scope in ("a", "c")
            ]
            await asyncio.to_thread(loopback.log.wait_for, "slow", "started", 2)
            with pytest.raises(Overloaded):
                await mcp.list_tools(at(loopback.url, scope="d"), deadline=soon())
            for task in running:
                task.cancel()
            await asyncio.wait(running)


@pytest.mark.parametrize("transport", ["modern", "legacy", "sse", "stdio"])
@pytest.mark.parametrize("how", ["deadline", "cancel"])
async def test_a_call_that_is_given_up_stops_on_the_server(transport: str, how: str, tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    tasks = asyncio.all_tasks()
    with LoopbackMcp(legacy=transport == "legacy") as loopback:
        url = loopback.sse_url if transport == "sse" else loopback.url
        server = stdio(path) if transport == "stdio" else at(url)

        def states() -> list[Any]:
            lines = read_log(path) if transport == "stdio" else loopback.log.lines
            return [line["state"] for line in lines if line["tool"] == "slow"]

        async with clients() as mcp:
            await mcp.describe(server, deadline=soon())
            deadline = soon(0.5) if how == "deadline" else soon()
            call = asyncio.create_task(mcp.call_tool(server, "slow", {"seconds": 60}, deadline=deadline))
            await until(lambda: states() == ["started"])
            if how == "cancel":
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
            else:
                with pytest.raises(McpTimeout) as caught:
                    await call
                assert caught.value.status == 504
            await until(lambda: states() == ["started", "cancelled"])
            # The session is as good as before.
            assert (await mcp.call_tool(server, "echo", {"text": "on"}, deadline=soon())).text == "on"
    assert asyncio.all_tasks() == tasks


async def test_wrong_credentials_are_told_by_their_status() -> None:
    with LoopbackMcp(authorization="Bearer right-token") as loopback:
        async with clients() as mcp:
            for url in (loopback.url, loopback.sse_url):
                with pytest.raises(McpHTTPError) as caught:
                    await mcp.list_tools(at(url, authorization="wrong-token"), deadline=soon())
                assert (caught.value.http_status, caught.value.upstream_status) == (401, 401)
                assert "wrong-token" not in str(caught.value)
            assert await mcp.list_tools(at(loopback.url, authorization="right-token"), deadline=soon())
            assert await mcp.list_tools(at(loopback.url, headers={"Authorization": "Bearer right-token"}))


async def test_a_server_that_only_knows_sse_is_found_out() -> None:
    with LoopbackMcp(sse_path="/events") as loopback:
        async with clients() as mcp:
            result = await mcp.call_tool(at(f"{loopback.base_url}/events"), "echo", {"text": "a"}, deadline=soon())
        assert result.text == "a"
        assert [request.method for request in loopback.app.requests if request.path == "/events"][-1] == "GET"


async def test_what_is_nowhere_is_a_status() -> None:
    with LoopbackMcp() as loopback:
        async with clients() as mcp:
            with pytest.raises(McpHTTPError) as caught:
                await mcp.list_tools(at(f"{loopback.base_url}/nothing"), deadline=soon())
    assert caught.value.http_status == 404


async def test_private_addresses_are_for_the_operator() -> None:
    with LoopbackMcp() as loopback:
        async with clients(allow_private=False) as mcp:
            with pytest.raises(EgressRefused, match="MCP server 'loopback'"):
                await mcp.list_tools(at(loopback.url), deadline=soon())
            assert loopback.app.requests == []
            assert await mcp.list_tools(at(loopback.url, trusted=True), deadline=soon())


async def test_nobody_there_is_unreachable() -> None:
    with LoopbackMcp() as loopback:
        url = loopback.url
    async with clients() as mcp:
        with pytest.raises(McpUnreachable) as caught:
            await mcp.call_tool(at(url), "echo", {"text": "a"}, deadline=soon())
        assert not caught.value.sent
        missing = McpServer(label="child", command=StdioCommand("/no/such/program"))
        with pytest.raises(McpUnreachable, match="could not be started: no such file"):
            await mcp.list_tools(missing, deadline=soon())


async def test_a_child_that_died_is_started_again(tmp_path: Path) -> None:
    server = stdio(tmp_path / "calls.jsonl")
    async with clients() as mcp:
        first = (await mcp.call_tool(server, "pid", {}, deadline=soon())).structured["result"]
        os.kill(first, signal.SIGKILL)
        await until(lambda: not mcp._sessions)
        second = (await mcp.call_tool(server, "pid", {}, deadline=soon())).structured["result"]
    assert first != second
    with pytest.raises(ProcessLookupError):
        os.kill(second, 0)


async def test_a_call_whose_server_died_is_not_made_again(tmp_path: Path) -> None:
    log = tmp_path / "calls.jsonl"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.mcp_server", "--log", str(log), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    addresses = json.loads(await process.stdout.readline())
    async with clients() as mcp:
        calls = [
            asyncio.create_task(mcp.call_tool(at(addresses[key]), "slow", {"seconds": 60}, deadline=soon()))
            for key in ("url", "sse_url")
        ]
        await until(lambda: len(read_log(log)) == 2)
        process.kill()
        for call in calls:
            with pytest.raises(McpUnreachable) as caught:
                await call
            assert caught.value.sent
        await process.wait()
    assert [line["state"] for line in read_log(log)] == ["started", "started"]


async def test_the_sdk_is_imported_at_first_use_only() -> None:
    program = "import sys, llama_stack.mcp.client; print({'mcp', 'mcp_types', 'httpx2'} & sys.modules.keys())"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert out.decode().strip() == "set()"
