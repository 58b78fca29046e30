"""What a request may say of an MCP server, and which of its tools need an approval."""

from __future__ import annotations

from typing import Any

import pytest

from llama_stack.agent.entries import Item
from llama_stack.agent.tools.mcp_items import ResultLimits, function_of, output_of, pin_of
from llama_stack.agent.tools.mcp_policy import allowed, check_labels, check_server, needs_approval
from llama_stack.mcp.model import McpResult
from llama_stack_api.errors import InvalidRequest

URL = "https://mcp.example.com/mcp"
READ: Item = {"name": "read", "description": "Reads.", "input_schema": {}, "annotations": {"readOnlyHint": True}}
WRITE: Item = {"name": "write", "description": "Writes.", "input_schema": {}, "annotations": None}


@pytest.mark.parametrize(
    ("policy", "asks"),
    [
        (None, ""),
        ("never", ""),
        ("always", "read write"),
        ({"always": ["write"]}, "write"),
        ({"always": {"tool_names": ["write"]}}, "write"),
        ({"never": ["read"]}, "write"),
        ({"never": {"read_only": True}}, "write"),
        ({"always": {"read_only": False}}, "write"),
        ({"never": {"tool_names": ["read", "write"], "read_only": True}}, "write"),
        ({"always": ["read"], "never": ["read", "write"]}, "read"),
        ({"always": ["read"], "never": []}, "read write"),
        ({"always": None, "never": None}, ""),
        ({}, ""),
    ],
)
def test_approvals(policy: Any, asks: str) -> None:
    tool = {"require_approval": policy}
    assert [each["name"] for each in (READ, WRITE) if needs_approval(tool, each)] == asks.split()


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        (None, "read write"),
        (["write"], "write"),
        ([], ""),
        ({"tool_names": ["read", "gone"]}, "read"),
        ({"read_only": True}, "read"),
        ({}, "read write"),
    ],
)
def test_allowed_tools(selection: Any, names: str) -> None:
    assert [each["name"] for each in (READ, WRITE) if allowed({"allowed_tools": selection}, each)] == names.split()


@pytest.mark.parametrize(
    ("tool", "param", "words"),
    [
        ({}, "server_url", "needs a server_url or a connector_id"),
        ({"tunnel_id": "t"}, "tunnel_id", "tunnels belong to OpenAI's platform"),
        ({"server_url": "ftp://x/y"}, "server_url", "http or https URL"),
        ({"server_url": "https:///mcp"}, "server_url", "http or https URL"),
        ({"server_url": "https://x:99999/"}, "server_url", "http or https URL"),
        ({"server_url": "https://[::1/"}, "server_url", "http or https URL"),
        ({"server_url": URL + "x" * 3000}, "server_url", "at most 2048"),
        ({"server_url": "https://me:secret@mcp.example.com/"}, "server_url", "holds no credentials"),
        ({"server_url": URL, "server_label": ""}, "server_label", "server_label"),
        ({"server_url": URL, "authorization": "t", "headers": {"AUTHORIZATION": "t"}}, "authorization", "one of them"),
        ({"server_url": URL, "headers": {"x": "a\r\nb: secret"}}, "headers", "'x' is no HTTP header"),
        ({"server_url": URL, "headers": {"a b": "c"}}, "headers", "'a b' is no HTTP header"),
    ],
)
def test_servers_that_cannot_be_named_are_refused(tool: Item, param: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as refused:
        check_server({"type": "mcp", "server_label": "l", **tool})
    assert refused.value.param == param
    assert "secret" not in refused.value.message


@pytest.mark.parametrize(
    "tool",
    [
        {"server_url": URL},
        {"server_url": "http://127.0.0.1:8000/sse", "headers": {"Authorization": "Bearer t"}},
        {"connector_id": "connector_gmail", "authorization": "t", "headers": {"x": "y"}},
        {"connector_id": "c", "server_url": URL},
    ],
)
def test_servers_that_can(tool: Item) -> None:
    check_server({"type": "mcp", "server_label": "l", **tool})


def test_a_label_names_one_server() -> None:
    tools = [{"type": "mcp", "server_label": label} for label in ("a", "b", "a")]
    check_labels([*tools[:2], {"type": "function", "name": "a"}, {"type": "function", "name": "a"}])
    with pytest.raises(InvalidRequest, match="'a'") as refused:
        check_labels(tools)
    assert refused.value.param == "tools[2].server_label"
    with pytest.raises(InvalidRequest, match="at most 64"):
        check_labels([{"type": "mcp", "server_label": str(number)} for number in range(65)])


def test_a_pin_covers_all_that_was_shown() -> None:
    assert pin_of(READ) == pin_of(dict(reversed(READ.items())))
    assert pin_of(WRITE) == pin_of({**WRITE, "annotations": {}})
    changes: list[Item] = [
        {"name": "x"},
        {"description": "x"},
        {"input_schema": {"type": "object"}},
        {"annotations": {"readOnlyHint": False}},
    ]
    assert len({pin_of(READ), *(pin_of({**READ, **change}) for change in changes)}) == 5


def test_a_schema_is_made_fit_for_every_provider() -> None:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"}
    function = function_of("read", {"server_label": "l"}, {"name": "read", "input_schema": schema})["function"]
    assert function == {"name": "read", "description": "", "parameters": {"type": "object", "properties": {}}}


def test_images_that_a_model_cannot_be_shown_are_named() -> None:
    pixel = "aWY="
    content: list[Item] = [
        {"type": "image", "data": pixel, "mimeType": "image/tiff"},
        {"type": "image", "data": "not base64!", "mimeType": "image/png"},
        {"type": "image", "data": "aWZpZmlm", "mimeType": "image/png"},
        {"type": "audio", "data": pixel, "mimeType": "audio/wav"},
        {"type": "resource", "resource": {"uri": "x://1", "mimeType": "a/b", "blob": pixel}},
        {"type": "resource_link", "uri": "x://2", "name": "two"},
        {"type": "hologram"},
        {"type": "image", "data": pixel, "mimeType": "image/png"},
        {"type": "image", "data": pixel, "mimeType": "image/png"},
    ]
    output = output_of(McpResult(content), ResultLimits(images_max=1, image_bytes_max=4))
    assert output.text.splitlines() == [
        "[image: image/tiff, not shown]",
        "[image: image/png, not shown]",
        "[image: image/png, not shown]",
        "[audio: audio/wav, not shown]",
        "[x://1: a/b, not shown]",
        "[two](x://2)",
        "[content of type 'hologram', not shown]",
        "[image: image/png]",
        "[image: image/png, not shown]",
    ]
    assert isinstance(output.shown, list)
    assert [part["type"] for part in output.shown] == ["text", "image_url"]


def test_a_result_of_data_alone_is_its_json() -> None:
    assert output_of(McpResult([], structured={"a": [1]}), ResultLimits()).shown == '{"a":[1]}'
