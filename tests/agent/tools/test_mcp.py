"""The tools of real MCP servers on loopback, listed and called as the agent does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations

from llama_stack.agent.entries import Entry, Item
from llama_stack.agent.tools.errors import DefinitionChanged
from llama_stack.agent.tools.mcp import McpTools
from llama_stack.agent.tools.mcp_items import ResultLimits
from llama_stack.agent.turn import ServerSecrets
from llama_stack.mcp.client import McpClients
from llama_stack.mcp.model import McpServer
from llama_stack.net.egress import Egress, EgressPolicy
from llama_stack.runs.errors import StepInterrupted
from tests.agent.tools.mcp_turns import Known, McpTurn, stored
from tests.support.mcp_server import PIXEL, LoopbackMcp

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def server() -> Iterator[LoopbackMcp]:
    with LoopbackMcp() as running:
        yield running


@pytest.fixture
async def clients() -> AsyncIterator[McpClients]:
    made = McpClients(Egress(EgressPolicy(allow_private_networks=True)))
    yield made
    await made.close()


def at(server: LoopbackMcp, **more: Any) -> Item:
    return {"type": "mcp", "server_label": "loop", "server_url": server.url, **more}


async def turn(clients: McpClients, tool: Item, *entries: Entry, known: Known | None = None, **more: Any) -> McpTurn:
    kind = McpTools(clients, known or Known(), limits=ResultLimits(text_chars_max=1000))
    return await McpTurn(kind, tool, [*entries], **more).begin()


async def test_a_listing_and_a_call(server: LoopbackMcp, clients: McpClients) -> None:
    loop = await turn(clients, at(server))
    assert loop.listed is not None
    echo = next(each for each in loop.listed.item["tools"] if each["name"] == "echo")
    assert echo["description"] == "Say the text again."
    assert echo["input_schema"]["required"] == ["text"]
    tool = loop.named("echo")
    assert tool.definition["function"]["parameters"]["properties"]["text"]["type"] == "string"
    assert (tool.name, tool.label, tool.needs_approval, tool.deferred) == ("echo", "loop", False, False)
    entry = await loop.call("echo", text="hé")
    assert entry.item | {"id": ""} == {
        "id": "",
        "type": "mcp_call",
        "server_label": "loop",
        "name": "echo",
        "arguments": '{"text":"hé"}',
        "output": "hé",
        "error": None,
        "approval_request_id": None,
        "status": "completed",
    }
    assert entry.shown == "hé"
    assert loop.events == [
        {"type": "response.mcp_list_tools.in_progress"},
        {"type": "response.mcp_list_tools.completed"},
        {"type": "response.mcp_call.in_progress"},
        {"type": "response.mcp_call_arguments.delta", "delta": '{"text":"hé"}'},
        {"type": "response.mcp_call_arguments.done", "arguments": '{"text":"hé"}'},
        {"type": "response.mcp_call.completed"},
    ]


async def test_results_of_all_kinds(server: LoopbackMcp, clients: McpClients) -> None:
    loop = await turn(clients, at(server))
    assert (await loop.call("add", a=1, b=2)).item["output"].replace(" ", "").replace("\n", "") == '{"sum":3}'
    image = await loop.call("image")
    assert image.item["output"] == "a pixel\n[image: image/png]"
    assert image.shown == [
        {"type": "text", "text": "a pixel\n[image: image/png]"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    ]
    assert (await loop.call("resource")).shown == "note://1\na note"
    big = await loop.call("big", size=5000)
    assert big.shown == "x" * 1000 + "\n[The result has 5000 characters, of which the first 1000 are given.]"


async def test_failures_are_items_that_the_model_sees(server: LoopbackMcp, clients: McpClients) -> None:
    loop = await turn(clients, at(server))
    failed = await loop.call("fails", why="no such city")
    assert failed.item["status"] == "failed"
    assert failed.item["output"] is None
    assert failed.item["error"]["type"] == "mcp_tool_execution_error"
    assert "no such city" in failed.item["error"]["content"][0]["text"]
    assert "no such city" in str(failed.shown)
    assert loop.events[-1] == {"type": "response.mcp_call.failed"}
    for arguments in ("{", "[1]", "nonsense", "[" * 5000):
        broken = await loop.call_with("echo", arguments)
        assert broken.item["error"]["type"] == "mcp_protocol_error"
        assert broken.item["error"]["code"] == -32602
        assert broken.item["arguments"] == arguments
        assert "arguments are not" in str(broken.shown)
    with LoopbackMcp() as other:
        first = await turn(clients, at(other))
        other.app.authorization = "Bearer changed"
        refused = await first.call("echo", text="x")
        assert refused.item["error"]["type"] == "http_error"
        assert refused.item["error"]["code"] == 401
    late = await loop.call("slow", seconds=30, timeout_s=0.5)
    assert late.item["error"]["code"] == -32001
    assert "did not answer in time" in str(late.shown)


async def test_what_a_crash_interrupted_is_named(server: LoopbackMcp, clients: McpClients) -> None:
    loop = await turn(clients, at(server))
    runner = loop.named("echo").runner
    assert runner is not None
    call = (await loop.call("echo", text="x")).call
    assert call is not None
    item = runner.opened(call, "mcp_1") | {"approval_request_id": "mcpr_1"}
    entry = runner.failed(call, item, StepInterrupted("tool:mcp_1")).entry
    assert (entry.item["status"], entry.item["name"], entry.item["approval_request_id"]) == ("failed", "echo", "mcpr_1")
    assert "interrupted by a crash" in entry.item["error"]["message"]


async def test_a_server_that_cannot_be_asked_is_an_item(clients: McpClients) -> None:
    with LoopbackMcp() as gone:
        tool = at(gone)
    loop = await turn(clients, tool)
    assert loop.listed is not None
    assert loop.listed.item["tools"] == []
    assert "loop" in loop.listed.item["error"]
    assert loop.events[-1] == {"type": "response.mcp_list_tools.failed"}
    assert loop.tools == []
    with LoopbackMcp() as there:
        again = await turn(clients, at(there), stored(loop.listed))
        assert again.listed is not None, "a failed listing is not used again"
        assert "echo" in again.names


async def test_credentials_go_to_the_server_and_nowhere_else(clients: McpClients) -> None:
    with LoopbackMcp(authorization="Bearer secret-token") as closed:
        refused = await turn(clients, at(closed))
        assert refused.listed is not None
        assert "401" in refused.listed.item["error"]
        for secrets in (
            ServerSecrets("secret-token"),
            ServerSecrets(headers={"authorization": "Bearer secret-token", "x-tag": "7"}),
        ):
            loop = await turn(clients, at(closed), secrets=secrets)
            assert (await loop.call("echo", text="in")).shown == "in"
            assert "secret-token" not in str(loop.entries)
        assert closed.app.requests[-1].headers["x-tag"] == "7"


async def test_only_the_allowed_tools_are_listed_and_offered(server: LoopbackMcp, clients: McpClients) -> None:
    loop = await turn(clients, at(server, allowed_tools=["add", "echo", "absent"]))
    assert loop.listed is not None
    assert sorted(loop.names) == sorted(each["name"] for each in loop.listed.item["tools"]) == ["add", "echo"]


async def test_a_listing_of_an_earlier_turn_is_used_again(server: LoopbackMcp, clients: McpClients) -> None:
    first = await turn(clients, at(server))
    assert first.listed is not None
    listing = stored(first.listed)
    again = await turn(clients, at(server), listing)
    assert again.listed is None
    assert again.names == first.names
    assert (await again.call("echo", text="2")).shown == "2"
    narrower = await turn(clients, at(server, allowed_tools=["echo"]), listing)
    assert narrower.listed is not None, "another choice of tools is another listing"
    other = await turn(clients, at(server, server_url=server.sse_url), listing)
    assert other.listed is not None, "another server under the same label is asked itself"
    from_client = await turn(clients, at(server, allowed_tools=["echo"]), Entry(listing.item))
    assert from_client.listed is None
    assert from_client.names == ["echo"], "what a client sent back is taken by its label"


def changing(description: str, **annotations: Any) -> tuple[MCPServer, list[str]]:
    """A server with one tool `delete`, and what it was called with."""
    server = MCPServer("changing", log_level="CRITICAL")
    deleted: list[str] = []
    describe(server, deleted, description, **annotations)
    return server, deleted


def describe(server: MCPServer, deleted: list[str], description: str, **annotations: Any) -> None:
    def delete(name: str) -> str:
        deleted.append(name)
        return "deleted"

    server.add_tool(
        delete, description=description, annotations=ToolAnnotations(**annotations) if annotations else None
    )


async def test_a_definition_that_changed_asks_again(clients: McpClients) -> None:
    own, deleted = changing("Deletes a draft.")
    with LoopbackMcp(server=own) as server:
        tool = at(server, require_approval="always")
        first = await turn(clients, tool)
        assert first.listed is not None
        assert first.named("delete").needs_approval
        listing, shown_pin = stored(first.listed), first.named("delete").pin

        own.remove_tool("delete")
        describe(own, deleted, "Deletes an account for ever.")
        second = await turn(clients, tool, listing)
        with pytest.raises(DefinitionChanged) as changed:
            await second.call("delete", name="x", approved_pin=shown_pin)
        assert deleted == []
        assert changed.value.pin != shown_pin

        asked = {"id": "mcpr_1", "type": "mcp_approval_request", "server_label": "loop", "name": "delete"}
        request = Entry({**asked, "arguments": "{}"}, pin=changed.value.pin)
        third = await turn(clients, tool, listing, request)
        assert third.listed is not None, "the old listing is known to be outdated"
        assert third.named("delete").pin == changed.value.pin
        assert "for ever" in third.named("delete").definition["function"]["description"]
        entry = await third.call("delete", name="x", approved_pin=changed.value.pin)
        assert (entry.shown, deleted) == ("deleted", ["x"])


async def test_a_changed_definition_asks_even_where_no_approval_was_needed(clients: McpClients) -> None:
    own, deleted = changing("Deletes a draft.", read_only_hint=True)
    with LoopbackMcp(server=own) as server:
        first = await turn(clients, at(server))
        assert first.listed is not None
        assert (await first.call("delete", name="fresh")).shown == "deleted"
        own.remove_tool("delete")
        describe(own, deleted, "Deletes a draft.", read_only_hint=False)
        second = await turn(clients, at(server), stored(first.listed))
        with pytest.raises(DefinitionChanged):
            await second.call("delete", name="x")
        own.remove_tool("delete")
        third = await turn(clients, at(server), stored(first.listed))
        assert "no longer offers" in str((await third.call("delete", name="x")).shown)
        assert deleted == ["fresh"]


async def test_a_listing_that_is_used_again_is_checked_once(server: LoopbackMcp, clients: McpClients) -> None:
    first = await turn(clients, at(server))
    assert first.listed is not None
    again = await turn(clients, at(server), stored(first.listed))
    before = len(server.app.requests)
    await asyncio.gather(*(again.call("echo", text=str(number)) for number in range(4)))
    assert len(server.app.requests) - before == 5, "one listing, four calls"


async def test_hints_count_only_from_servers_of_the_operator(clients: McpClients) -> None:
    own, _ = changing("Reads.", read_only_hint=True)
    with LoopbackMcp(server=own) as server:
        known = Known(
            {"ours": McpServer("x", url=server.url), "theirs": McpServer("x", url=server.url)}, frozenset({"ours"})
        )
        connector = {"type": "mcp", "server_label": "loop"}
        idempotent = {}
        for connector_id in ("ours", "theirs"):
            loop = await turn(clients, connector | {"connector_id": connector_id}, known=known)
            idempotent[connector_id] = loop.named("delete").runner
        direct = await turn(clients, at(server, connector_id="ours"), known=known)
        idempotent["direct"] = direct.named("delete").runner
    assert {key: runner and runner.idempotent for key, runner in idempotent.items()} == {
        "ours": True,
        "theirs": False,
        "direct": False,
    }


async def test_connectors_are_resolved_for_who_asks(clients: McpClients) -> None:
    with LoopbackMcp(authorization="Bearer operators") as server:
        known = Known({"c": McpServer("c", url=server.url, authorization="operators", headers={"x-team": "1"})})
        tool = {"type": "mcp", "server_label": "loop", "connector_id": "c"}
        loop = await turn(clients, tool, known=known)
        assert (await loop.call("echo", text="by connector")).shown == "by connector"
        assert server.app.requests[-1].headers["x-team"] == "1"
        for secrets in (ServerSecrets("mine"), ServerSecrets(headers={"Authorization": "Bearer mine"})):
            own = await turn(clients, tool, known=known, secrets=secrets)
            assert own.listed is not None
            assert "401" in own.listed.item["error"], "the caller's own credentials go before the operator's"
        unknown = await turn(clients, {**tool, "connector_id": "d"}, known=known)
        assert unknown.listed is not None
        assert unknown.listed.item["error"] == "there is no connector 'd'"


async def test_the_egress_guard_stands_before_every_server(server: LoopbackMcp) -> None:
    guarded = McpClients(Egress(EgressPolicy()))
    try:
        loop = await turn(guarded, at(server))
        assert loop.listed is not None
        assert loop.listed.item["error"]
        assert loop.tools == []
    finally:
        await guarded.close()


async def test_deferred_servers_and_descriptions(server: LoopbackMcp, clients: McpClients) -> None:
    loop = await turn(clients, at(server, defer_loading=True, server_description="For tests."))
    assert all(tool.deferred for tool in loop.tools)
    assert loop.named("echo").definition["function"]["description"] == "Say the text again.\n(loop: For tests.)"


async def test_a_tool_that_an_item_brought_and_that_names_no_server_is_left_out(clients: McpClients) -> None:
    kind = McpTools(clients, Known())
    for tool in ({"server_url": "ftp://x"}, {"server_url": "https://a:b@x/"}, {"tunnel_id": "t"}, {}):
        bound = kind.bind({"type": "mcp", "server_label": "loop", **tool}, [])
        assert (list(bound.tools), bound.listing) == ([], None)
