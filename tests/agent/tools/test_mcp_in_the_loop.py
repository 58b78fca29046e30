"""Real MCP servers and searches for tools in whole responses: listings, approvals, changes, deferred tools."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import msgspec
import pytest
from mcp.server.mcpserver import MCPServer

from llama_stack.agent.entries import Entry, Item
from llama_stack.agent.tools.base import Bound, ToolKind
from llama_stack.agent.tools.functions import FunctionTools
from llama_stack.agent.tools.mcp import McpTools
from llama_stack.agent.tools.tool_search import ToolSearchTools
from llama_stack.agent.turn import Turn
from llama_stack.mcp.client import McpClients
from llama_stack.net.egress import Egress, EgressPolicy
from tests.agent.loop.conftest import Ended, Respond, respond
from tests.agent.tools.mcp_turns import Known
from tests.support.agent import Remembered, turn
from tests.support.mcp_server import LoopbackMcp
from tests.support.upstream_replies import Tool, calls, text

__all__ = ["respond"]

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def server() -> Iterator[LoopbackMcp]:
    with LoopbackMcp() as running:
        yield running


class Kinds:
    """Several kinds of tools as one."""

    def __init__(self, *kinds: ToolKind) -> None:
        self._kinds = {each: kind for kind in kinds for each in kind.types}
        self.types = frozenset(self._kinds)

    def check(self, tool: Item) -> None:
        self._kinds[tool["type"]].check(tool)

    def bind(self, tool: Item, before: Sequence[Entry]) -> Bound:
        return self._kinds[tool["type"]].bind(tool, before)


@pytest.fixture
async def kinds() -> AsyncIterator[Kinds]:
    clients = McpClients(Egress(EgressPolicy(allow_private_networks=True)))
    yield Kinds(McpTools(clients, Known()), ToolSearchTools(), FunctionTools())
    await clients.close()


def at(server: LoopbackMcp, label: str = "loop", **more: Any) -> Item:
    return {"type": "mcp", "server_label": label, "server_url": server.url, **more}


def history(*ended: Ended) -> Remembered:
    """What these responses left, for the next one."""
    return Remembered([msgspec.convert(entry, Entry) for each in ended for entry in each.turn])


def next_turn(*input: Entry | str, tools: list[Item]) -> Turn:
    """One that goes on from an earlier response."""
    return msgspec.structs.replace(turn(*input, tools=tools), previous="resp_before")


def kinds_of(items: Sequence[Item]) -> list[str]:
    return [item["type"] for item in items]


def verdict(request: Item, approve: bool = True) -> Entry:
    return Entry(
        {"id": "mcpa_1", "type": "mcp_approval_response", "approval_request_id": request["id"], "approve": approve}
    )


def offered(body: dict[str, Any]) -> list[str]:
    return [tool["function"]["name"] for tool in body.get("tools", [])]


async def test_list_call_answer(respond: Respond, kinds: Kinds, server: LoopbackMcp) -> None:
    asked = turn("Add.", tools=[at(server, allowed_tools=["add", "fails"])])
    both = calls(Tool("add", {"a": 1, "b": 2}), Tool("fails", {"why": "broken"}))
    ended = await respond(asked, [both, text("3")], tools=kinds)
    assert kinds_of(ended.output) == ["mcp_list_tools", "mcp_call", "mcp_call", "message"]
    assert [item["status"] for item in ended.output[1:3]] == ["completed", "failed"]
    assert ended.types[2:6] == [
        "output_item.added", "mcp_list_tools.in_progress", "mcp_list_tools.completed", "output_item.done",
    ]  # fmt: skip
    assert {"mcp_call.completed", "mcp_call.failed"} <= set(ended.types)
    results = [message["content"] for message in ended.model.asked[1]["messages"] if message["role"] == "tool"]
    assert json.loads(results[0]) == {"sum": 3}
    assert "broken" in results[1]

    again = await respond(
        next_turn("Again.", tools=asked.request["tools"]), [text("yes")], history=history(ended), tools=kinds
    )
    assert kinds_of(again.output) == ["message"], "the listing of the turn before is used again"
    assert offered(again.model.asked[0]) == ["add", "fails"]


async def test_failures_are_counted_as_such(respond: Respond, kinds: Kinds, server: LoopbackMcp) -> None:
    asked = turn("Add.", tools=[at(server, allowed_tools=["add", "fails"])])
    wrong = calls(Tool("add", {"a": 1, "b": 2}), Tool("fails", {"why": "broken"}), Tool("add", {"a": "no number"}))
    counted: list[tuple[str, str]] = []

    class Counting:
        def tool_done(self, kind: str, outcome: str, duration_s: float) -> None:
            counted.append((kind, outcome))

        def response_done(self, status: str, rounds: int) -> None: ...

    await respond(asked, [wrong, text("3")], tools=kinds, metrics=Counting())
    failed = ("mcp", "mcp_tool_execution_error")
    assert sorted(counted) == [failed, failed, ("mcp", "ok")]


async def test_an_approval(respond: Respond, kinds: Kinds, server: LoopbackMcp) -> None:
    tools = [at(server, allowed_tools=["echo"], require_approval="always")]
    first = await respond(turn("Say hi.", tools=tools), [calls(Tool("echo", {"text": "hi"}))], tools=kinds)
    request = first.output[-1]
    assert (request["type"], request["name"], request["server_label"]) == ("mcp_approval_request", "echo", "loop")
    said = len(server.log.calls("echo"))
    second = await respond(
        next_turn(verdict(request), tools=tools), [text("said")], history=history(first), tools=kinds
    )
    assert kinds_of(second.output) == ["mcp_call", "message"]
    assert second.output[0]["approval_request_id"] == request["id"]
    assert second.output[0]["output"] == "hi"
    assert len(server.log.calls("echo")) == said + 1
    denied = await respond(
        next_turn(verdict(request, approve=False), tools=tools), [text("ok")], history=history(first), tools=kinds
    )
    assert kinds_of(denied.output) == ["message"]
    assert len(server.log.calls("echo")) == said + 1


def deleting(server: MCPServer, deleted: list[str], description: str) -> None:
    def delete(name: str) -> str:
        deleted.append(name)
        return "deleted"

    server.add_tool(delete, description=description)


@pytest.mark.parametrize("policy", ["always", "never"])
async def test_a_definition_that_changed_asks_again(respond: Respond, kinds: Kinds, policy: str) -> None:
    own, deleted = MCPServer("changing", log_level="CRITICAL"), list[str]()
    deleting(own, deleted, "Deletes a draft.")
    with LoopbackMcp(server=own) as server:
        tools = [at(server, require_approval=policy)]
        call = calls(Tool("delete", {"name": "x"}))
        first = await respond(turn("Look.", tools=tools), [text("seen")], tools=kinds)
        own.remove_tool("delete")
        deleting(own, deleted, "Deletes an account for ever.")
        second = await respond(next_turn("Delete x.", tools=tools), [call], history=history(first), tools=kinds)
        before = [first, second]
        if policy == "always":
            third = await respond(
                next_turn(verdict(second.output[-1]), tools=tools), [], history=history(*before), tools=kinds
            )
            before.append(third)
        assert before[-1].output[-1]["type"] == "mcp_approval_request"
        assert deleted == []
        last = await respond(
            next_turn(verdict(before[-1].output[-1]), tools=tools),
            [text("done")],
            history=history(*before),
            tools=kinds,
        )
        assert kinds_of(last.output) == ["mcp_list_tools", "mcp_call", "message"]
        assert deleted == ["x"]


async def test_two_servers_with_the_same_tools(respond: Respond, kinds: Kinds, server: LoopbackMcp) -> None:
    with LoopbackMcp() as other:
        tools = [at(server, allowed_tools=["echo"]), at(other, "other", allowed_tools=["echo"])]
        script = [calls(Tool("echo", {"text": "1"}), Tool("other__echo", {"text": "2"})), text("done")]
        ended = await respond(turn("Go.", tools=tools), script, tools=kinds)
        assert offered(ended.model.asked[0]) == ["echo", "other__echo"]
        assert [(item["server_label"], item["output"]) for item in ended.output[2:4]] == [("loop", "1"), ("other", "2")]
        assert other.log.calls("echo") == [{"text": "2"}]


async def test_a_server_that_is_gone(respond: Respond, kinds: Kinds) -> None:
    with LoopbackMcp() as gone:
        tools = [at(gone)]
    ended = await respond(turn("Go.", tools=tools), [text("without")], tools=kinds)
    assert kinds_of(ended.output) == ["mcp_list_tools", "message"]
    assert ended.output[0]["error"]
    assert "mcp_list_tools.failed" in ended.types
    assert ended.response["status"] == "completed"


async def test_deferred_tools_are_found_and_called(respond: Respond, kinds: Kinds, server: LoopbackMcp) -> None:
    weather = {"type": "function", "name": "weather", "description": "The weather.", "defer_loading": True}
    tools = [{"type": "tool_search"}, at(server, defer_loading=True), weather]
    script = [
        calls(Tool("tool_search", {"query": "say a text again", "limit": 1})),
        calls(Tool("echo", {"text": "found"})),
        text("done"),
    ]
    ended = await respond(turn("Say it.", tools=tools), script, tools=kinds)
    assert kinds_of(ended.output) == ["mcp_list_tools", "tool_search_call", "tool_search_output", "mcp_call", "message"]
    assert [offered(body) for body in ended.model.asked] == [
        ["tool_search"],
        ["tool_search", "echo"],
        ["tool_search", "echo"],
    ]
    description = ended.model.asked[0]["tools"][0]["function"]["description"]
    assert "- loop (" in description
    assert "- weather" in description
    assert ended.output[2]["tools"] == [
        {
            "type": "mcp",
            "server_label": "loop",
            "server_url": server.url,
            "allowed_tools": ["echo"],
            "defer_loading": True,
        }
    ]
    assert ended.output[3]["output"] == "found"
    later = await respond(
        next_turn("And now?", tools=tools), [text("still there")], history=history(ended), tools=kinds
    )
    assert offered(later.model.asked[0]) == ["tool_search", "echo"]


async def test_the_callers_own_search_brings_tools(respond: Respond, kinds: Kinds) -> None:
    tools = [{"type": "tool_search", "execution": "client", "description": "Finds tools."}]
    first = await respond(turn("Go.", tools=tools), [calls(Tool("tool_search", {"query": "weather"}))], tools=kinds)
    search = first.output[-1]
    assert (search["type"], search["execution"], search["arguments"]) == (
        "tool_search_call",
        "client",
        {"query": "weather"},
    )
    found = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
    output = {"id": "tso_1", "type": "tool_search_output", "execution": "client", "call_id": search["call_id"]}
    answer = Entry({**output, "tools": [found], "status": "completed"})
    second = await respond(
        next_turn(answer, tools=tools), [calls(Tool("weather", {}))], history=history(first), tools=kinds
    )
    assert offered(second.model.asked[0]) == ["tool_search", "weather"]
    assert (second.output[-1]["type"], second.output[-1]["name"]) == ("function_call", "weather")
