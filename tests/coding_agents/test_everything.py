"""The reference server of the Model Context Protocol, `@modelcontextprotocol/server-everything`, as a tool of
responses: over streamable HTTP and SSE, with approvals and with failures."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from openai import OpenAI

from tests.coding_agents.conftest import PROGRAMS
from tests.support.running import running
from tests.support.upstream import Answer, Recorded, Tool, Upstream, calls, models, text

START_S = 30.0


def free_port() -> int:
    """The program takes a number, not a socket; it is tried again if somebody was faster."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def everything(transport: str) -> Iterator[str]:
    """Its address."""
    for _ in range(3):
        port = free_port()
        process = subprocess.Popen(
            [PROGRAMS / "mcp-server-everything", transport],
            env={**os.environ, "PORT": str(port)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + START_S
            while process.poll() is None and not listens(port):
                assert time.monotonic() < deadline, "the MCP server does not listen"
                time.sleep(0.05)
            if process.poll() is None:
                yield f"http://127.0.0.1:{port}/{'sse' if transport == 'sse' else 'mcp'}"
                return
        finally:
            process.kill()
            process.wait()
    raise AssertionError("the MCP server ends at once")


@pytest.fixture(params=["streamableHttp", "sse"])
def mcp_url(request: pytest.FixtureRequest) -> Iterator[str]:
    with everything(request.param) as url:
        yield url


@pytest.fixture
def client(upstream: Upstream, tmp_path: Path) -> Iterator[OpenAI]:
    upstream.always(models("agent"), on="/models")
    provider = {"provider_id": "scripted", "provider_type": "remote::vllm", "config": {"base_url": upstream.base_url}}
    config = tmp_path / "run.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "version": 2,
                "distro_name": "everything",
                "providers": {"inference": [provider]},
                "server": {"egress": {"allowed_hosts": ["127.0.0.1"]}},
            }
        )
    )
    with (
        running(str(config), "--port", "0", home=tmp_path) as server,
        OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client,
    ):
        yield client


def caller(*tools: Tool) -> Any:
    """A model that calls these tools at once, and says what they gave."""

    def answer(request: Recorded) -> Answer:
        results = [message["content"] for message in request.body["messages"] if message["role"] == "tool"]
        if not results:
            return calls(*tools)(request)
        return text(" | ".join(results if isinstance(results[0], str) else map(json.dumps, results)))(request)

    return answer


def everything_tool(url: str, **options: Any) -> Any:
    return {"type": "mcp", "server_label": "everything", "server_url": url, "require_approval": "never", **options}


def test_its_tools_are_listed_and_called(client: OpenAI, upstream: Upstream, mcp_url: str) -> None:
    upstream.always(
        caller(Tool("echo", {"message": "hi"}, "c1"), Tool("get-sum", {"a": 2, "b": 3}, "c2")), on="/chat/completions"
    )
    response = client.responses.create(model="scripted/agent", input="Go.", tools=[everything_tool(mcp_url)])
    listing, *ran, message = response.output
    assert listing.type == "mcp_list_tools"
    assert {"echo", "get-sum", "get-tiny-image"} <= {tool.name for tool in listing.tools}
    echo, total = (item for item in ran if item.type == "mcp_call")
    assert "hi" in str(echo.output)
    assert "5" in str(total.output)
    assert (echo.error, total.error) == (None, None)
    assert message.type == "message"
    assert "hi" in response.output_text
    assert "5" in response.output_text


def test_an_approval_is_asked_for_and_given(client: OpenAI, upstream: Upstream, mcp_url: str) -> None:
    upstream.always(caller(Tool("echo", {"message": "approved"})), on="/chat/completions")
    tool = everything_tool(mcp_url, require_approval="always", allowed_tools=["echo"])
    asked = client.responses.create(model="scripted/agent", input="Go.", tools=[tool])
    wanted = asked.output[-1]
    assert wanted.type == "mcp_approval_request"
    assert json.loads(wanted.arguments) == {"message": "approved"}
    listing = asked.output[0]
    assert listing.type == "mcp_list_tools"
    assert [each.name for each in listing.tools] == ["echo"]
    response = client.responses.create(
        model="scripted/agent",
        previous_response_id=asked.id,
        input=[{"type": "mcp_approval_response", "approval_request_id": wanted.id, "approve": True}],
        tools=[tool],
    )
    call = response.output[0]
    assert call.type == "mcp_call"
    assert call.approval_request_id == wanted.id
    assert "approved" in str(call.output)


def test_a_failure_is_told_to_the_model(client: OpenAI, upstream: Upstream, mcp_url: str) -> None:
    upstream.always(caller(Tool("get-sum", {"a": "two"})), on="/chat/completions")
    response = client.responses.create(model="scripted/agent", input="Go.", tools=[everything_tool(mcp_url)])
    (call,) = (item for item in response.output if item.type == "mcp_call")
    assert call.error is not None
    assert response.status == "completed"
    assert "invalid" in response.output_text.lower()


def test_a_server_that_is_gone_is_told_to_the_model(client: OpenAI, upstream: Upstream) -> None:
    upstream.always(text("I cannot reach it."), on="/chat/completions")
    with everything("streamableHttp") as url:
        pass
    response = client.responses.create(model="scripted/agent", input="Go.", tools=[everything_tool(url)])
    listing = response.output[0]
    assert listing.type == "mcp_list_tools"
    assert listing.error is not None
    assert response.output_text == "I cannot reach it."
