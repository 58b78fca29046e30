"""A real MCP server, `mcp-server-time` from PyPI, as a tool of responses: a process of ours by stdio, and over HTTP."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from mcp_server_time.server import create_server  # type: ignore[import-untyped]
from openai import OpenAI

from tests.e2e.conftest import ConfigFile
from tests.support.mcp_server import LoopbackMcp
from tests.support.running import running
from tests.support.upstream import Answer, Recorded, Tool, Upstream, calls, models, text

TOKYO = Tool("convert_time", {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}, "call_1")
NOWHERE = Tool("get_current_time", {"timezone": "Nowhere/Land"}, "call_2")


def clerk(request: Recorded) -> Answer:
    results = [str(message["content"]) for message in request.body["messages"] if message["role"] == "tool"]
    return text(" | ".join(results))(request) if results else calls(TOKYO, NOWHERE)(request)


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_the_time_in_tokyo(upstream: Upstream, config_file: ConfigFile, tmp_path: Path, transport: str) -> None:
    """One call that works, and one that fails, which the model is told."""
    upstream.always(clerk, on="/chat/completions")
    upstream.always(models("clerk"), on="/models")
    connector = {
        "connector_id": "clock",
        "command": sys.executable,
        "args": ["-m", "mcp_server_time", "--local-timezone", "Europe/Paris"],
    }
    with LoopbackMcp(server=create_server("Europe/Paris")) as mcp:
        config = config_file(
            {"up": upstream.base_url},
            connectors=[connector],
            server={"egress": {"allowed_hosts": ["127.0.0.1"]}},
        )
        where = {"connector_id": "clock"} if transport == "stdio" else {"server_url": mcp.url}
        tool = {"type": "mcp", "server_label": "clock", "require_approval": "never", **where}
        with (
            running(config, "--port", "0", home=tmp_path) as server,
            OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client,
        ):
            response = client.responses.create(model="up/clerk", input="What time is it?", tools=[tool])  # type: ignore[list-item]
    listing, tokyo, nowhere, _ = response.output
    assert listing.type == "mcp_list_tools"
    assert {each.name for each in listing.tools} == {"convert_time", "get_current_time"}
    assert tokyo.type == nowhere.type == "mcp_call"
    assert "21:00" in str(tokyo.output)
    assert tokyo.error is None
    assert nowhere.error is not None
    assert "21:00" in response.output_text
    assert "Nowhere/Land" in response.output_text
