"""The providers that run tools: WolframAlpha, MCP servers, and file search until there are vector stores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from llama_stack.mcp.errors import McpHTTPError
from llama_stack_api.api import Api
from llama_stack_api.errors import (
    InvalidRequest,
    NotFound,
    NotImplementedByProvider,
    ProviderError,
    ProviderRejectedCredentials,
    ProviderUnreachable,
)
from llama_stack_api.ports.tool_runtime import EndpointTools, ToolInvocation
from llama_stack_api.principal import Call
from llama_stack_api.provider import Descriptor
from tests.mcp.support import clients
from tests.providers.tool_runtime.conftest import Opening
from tests.support.mcp_server import LoopbackMcp
from tests.support.search_engines import KEY, wolfram
from tests.support.upstream import Upstream, Wire

pytestmark = pytest.mark.anyio

WOLFRAM = "remote::wolfram-alpha"
MCP = "remote::model-context-protocol"
FILES = "inline::file-search"


@pytest.fixture(scope="module")
def mcp() -> Iterator[LoopbackMcp]:
    with LoopbackMcp() as server:
        yield server


def alpha(opening: Opening, **config: Any) -> Any:
    return opening.type(WOLFRAM, **{"base_url": f"{opening.up.url}/v2", "api_key": KEY, **config})


async def test_wolfram_answers(up: Upstream, opening: Opening) -> None:
    up.always(wolfram, on="/v2/query")
    provider = alpha(opening)
    assert isinstance(provider, ToolInvocation)
    (tool,) = await provider.list_tools(Call())
    assert (tool.toolgroup_id, tool.name) == ("builtin::wolfram_alpha", "wolfram_alpha")
    result = await provider.invoke_tool(tool.name, {"query": "2+2 & more"}, Call())
    assert result.content == "Result:\n4\n\nNumber name:\nfour"
    assert up.last.query["input"] == "2+2 & more"
    nothing = await provider.invoke_tool(tool.name, {"query": "nonsense"}, Call())
    assert nothing.content is None
    assert nothing.error_message


async def test_wolfram_needs_its_key_and_never_repeats_it(up: Upstream, opening: Opening) -> None:
    up.always(wolfram, on="/v2/query")
    theirs = Call(provider_data={"wolfram_alpha_api_key": SecretStr(KEY)})
    assert (await alpha(opening, api_key=None).invoke_tool("wolfram_alpha", {"query": "q"}, theirs)).content
    with pytest.raises(InvalidRequest, match="wolfram_alpha_api_key"):
        await alpha(opening, api_key=None).invoke_tool("wolfram_alpha", {"query": "q"}, Call())
    with pytest.raises(ProviderRejectedCredentials) as refused:
        await alpha(opening, api_key="secret-9").invoke_tool("wolfram_alpha", {"query": "q"}, Call())
    assert "secret-9" not in refused.value.message
    gone = alpha(opening, base_url="http://127.0.0.1:9")
    with pytest.raises(ProviderUnreachable) as unreachable:
        await gone.invoke_tool("wolfram_alpha", {"query": "q"}, Call())
    assert KEY not in unreachable.value.message


async def test_wolfram_refuses_what_it_cannot_ask(up: Upstream, opening: Opening) -> None:
    for arguments in ({}, {"query": 3}, {"query": ""}):
        with pytest.raises(InvalidRequest):
            await alpha(opening).invoke_tool("wolfram_alpha", arguments, Call())
    with pytest.raises(NotFound):
        await alpha(opening).invoke_tool("other", {"query": "q"}, Call())
    assert up.requests == []
    for body in (b"{}", b"3", b'{"queryresult": []}'):
        up.always(Wire().body(body, "application/json"), on="/v2/query")
        with pytest.raises(ProviderError):
            await alpha(opening).invoke_tool("wolfram_alpha", {"query": "q"}, Call())


async def test_the_tools_of_an_mcp_server(mcp: LoopbackMcp, opening: Opening) -> None:
    async with clients(allow_private=False) as asked:
        deps = {Api.connectors: asked}
        provider = opening.type(MCP, deps, mcp_endpoint={"uri": mcp.url})
        assert isinstance(provider, ToolInvocation)
        assert isinstance(provider, EndpointTools)
        tools = {tool.name: tool for tool in await provider.list_tools(Call())}
        schema = tools["add"].input_schema
        assert schema is not None
        assert set(schema["properties"]) == {"a", "b"}
        echoed = await provider.invoke_tool("add", {"a": 1, "b": 2}, Call())
        assert echoed.error_message is None
        assert mcp.log.calls("add")[-1] == {"a": 1, "b": 2}
        failed = await provider.invoke_tool("fails", {}, Call())
        assert failed.error_message
        image = await provider.invoke_tool("image", {}, Call())
        assert isinstance(image.content, list)
        assert "image" in {item.type for item in image.content}
        with pytest.raises(NotFound, match="'nothing'"):
            await provider.invoke_tool("nothing", {}, Call())


async def test_tool_groups_bring_endpoints_of_their_own(mcp: LoopbackMcp, opening: Opening) -> None:
    async with clients(allow_private=False) as asked:
        provider = opening.type(MCP, {Api.connectors: asked})
        assert await provider.list_tools(Call()) == []
        assert {tool.name for tool in await provider.list_endpoint_tools(mcp.url, Call())} >= {"echo", "add"}
        with pytest.raises(NotFound, match="mcp_endpoint"):
            await provider.invoke_tool("echo", {}, Call())


async def test_credentials_go_to_the_endpoint_that_they_are_configured_for(up: Upstream, opening: Opening) -> None:
    up.always(Wire().body(b"{}", "application/json", 401), on="/mcp")
    up.always(Wire().body(b"{}", "application/json", 401), on="/other")
    async with clients(allow_private=False) as asked:
        provider = opening.type(
            MCP, {Api.connectors: asked}, url=f"{up.url}/mcp", authorization="tok-1", headers={"X-Extra": "e-1"}
        )
        with pytest.raises(McpHTTPError) as refused:
            await provider.list_tools(Call())
        with pytest.raises(McpHTTPError):
            await provider.list_endpoint_tools(f"{up.url}/other", Call())
    own = [request.headers for request in up.requests if request.path == "/mcp"]
    other = [request.headers for request in up.requests if request.path == "/other"]
    assert own
    assert other
    assert all((headers["authorization"], headers["x-extra"]) == ("Bearer tok-1", "e-1") for headers in own)
    assert not any({"authorization", "x-extra"} & set(headers) for headers in other)
    assert "tok-1" not in refused.value.message


def test_an_endpoint_is_an_address(descriptors: Mapping[str, Descriptor]) -> None:
    config = descriptors[MCP].config
    with pytest.raises(ValidationError):
        config.model_validate({"mcp_endpoint": "stdio://run"})
    assert getattr(config.model_validate({"url": ""}), "mcp_endpoint", "absent") is None


async def test_file_search_says_what_is_missing(opening: Opening) -> None:
    provider = opening.type(FILES)
    assert [tool.name for tool in await provider.list_tools(Call())] == ["file_search", "knowledge_search"]
    with pytest.raises(NotImplementedByProvider, match="as part of a response"):
        await provider.invoke_tool("knowledge_search", {"query": "q"}, Call())
    with pytest.raises(NotFound):
        await provider.invoke_tool("other", {}, Call())
