"""Which tools there are, and who searches the web."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from llama_stack.config.model import ProviderEntry
from llama_stack.http.routes.tools import add_tool_routes
from llama_stack.net.client import NetClient
from llama_stack.routing.catalog import Catalog
from llama_stack.routing.opening import ProviderOpener
from llama_stack.routing.tool_groups import (
    WEB_SEARCH_GROUP,
    SearchProvider,
    WebSearchRouter,
    registered_tool_groups,
    search_providers,
    tool_groups,
)
from llama_stack.services.tools import ToolService
from llama_stack.storage.kv.memory import MemoryKV
from llama_stack_api.api import Api
from llama_stack_api.connectors import Connector, ListConnectorsResponse, ListToolsResponse
from llama_stack_api.errors import InvalidRequest, NotFound, ProviderError, ProviderTimeout, RateLimited
from llama_stack_api.ports.tool_runtime import WebQuery, WebResult
from llama_stack_api.principal import Call
from llama_stack_api.tools import ToolDef
from tests.mcp.support import clients
from tests.support.mcp_server import LoopbackMcp
from tests.support.search_engines import BRAVE, KEY, KEYLESS, SEARXNG, TAVILY, Engine, challenge_page
from tests.support.upstream import Answer, Stall, Upstream, Wire

pytestmark = pytest.mark.anyio
QUERY = WebQuery("paris")


@pytest.fixture(scope="module")
def mcp() -> Iterator[LoopbackMcp]:
    with LoopbackMcp() as server:
        yield server


@pytest.fixture
def up() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
async def opener(tmp_path: Path) -> AsyncIterator[ProviderOpener]:
    opener = ProviderOpener(
        Catalog(entry_points=tuple),
        state_dir=tmp_path,
        http=lambda name, network: NetClient(name=name),
        kv=lambda api, provider_id: MemoryKV().bind("system", provider_id),
    )
    yield opener
    await opener.close()


def entry(engine: Engine, up: Upstream, **config: Any) -> ProviderEntry:
    return typed(engine.type, base_url=up.url + engine.root, **config)


def typed(provider_type: str, **config: Any) -> ProviderEntry:
    name = provider_type.partition("::")[2]
    return ProviderEntry(provider_id=name, provider_type=provider_type, config=config)


async def opened(opener: ProviderOpener, entries: Sequence[ProviderEntry], **deps: Any) -> None:
    for each in entries:
        await opener.open("tool_runtime", each, {Api(name): dep for name, dep in deps.items()})
    assert opener.problems == []


async def router(opener: ProviderOpener, *entries: ProviderEntry) -> WebSearchRouter:
    await opened(opener, entries)
    return WebSearchRouter(search_providers(opener.opened.values()))


def asked(up: Upstream) -> list[str]:
    return [request.path for request in up.requests]


# --- who searches


async def test_in_the_configured_order_and_what_is_built_in_last(opener: ProviderOpener, up: Upstream) -> None:
    for engine in (TAVILY, KEYLESS):
        up.always(engine.answer(), on=engine.path)
    up.always(BRAVE.refusal(500), on=BRAVE.path)
    search = await router(
        opener,
        entry(KEYLESS, up),
        entry(BRAVE, up, api_key=KEY),
        entry(TAVILY, up, api_key=KEY),
    )
    assert len(await search.web_search(QUERY, Call())) == 4
    assert asked(up) == [BRAVE.path, TAVILY.path]


async def test_a_provider_without_a_key_is_skipped_unless_the_call_brings_it(
    opener: ProviderOpener, up: Upstream
) -> None:
    for engine in (BRAVE, SEARXNG):
        up.always(engine.answer(), on=engine.path)
    search = await router(opener, entry(BRAVE, up), entry(SEARXNG, up))
    await search.web_search(QUERY, Call())
    await search.web_search(QUERY, Call(provider_data={"brave_search_api_key": SecretStr(KEY)}))
    assert asked(up) == [SEARXNG.path, BRAVE.path]


async def test_where_all_fail_the_first_one_is_told(opener: ProviderOpener, up: Upstream) -> None:
    up.always(BRAVE.refusal(429), on=BRAVE.path)
    up.always(Wire().body(challenge_page(), "text/html", 202), on=KEYLESS.path)
    search = await router(opener, entry(KEYLESS, up), entry(BRAVE, up, api_key=KEY))
    with pytest.raises(RateLimited, match="'brave-search' is asked too often"):
        await search.web_search(QUERY, Call())
    assert asked(up) == [BRAVE.path, KEYLESS.path]


async def test_one_that_hangs_leaves_time_for_the_next(opener: ProviderOpener, up: Upstream) -> None:
    up.always(Wire(stall_after=1).body(b"{}" * 100, "application/json"), on=BRAVE.path)
    up.always(KEYLESS.answer(), on=KEYLESS.path)
    search = await router(opener, entry(BRAVE, up, api_key=KEY), entry(KEYLESS, up))
    call = Call(deadline=asyncio.get_running_loop().time() + 0.4)
    assert len(await search.web_search(QUERY, call)) == 4
    up.always(Answer(200, {}, (), (Stall(),)), on=KEYLESS.path)
    with pytest.raises(ProviderTimeout):
        await search.web_search(QUERY, Call(deadline=asyncio.get_running_loop().time() + 0.1))


async def test_nobody_to_ask(opener: ProviderOpener, up: Upstream) -> None:
    nobody = WebSearchRouter([])
    assert not nobody.available
    with pytest.raises(InvalidRequest, match="inline::web-search needs no key"):
        await nobody.web_search(QUERY, Call())
    keyless = await router(opener, entry(BRAVE, up), entry(TAVILY, up))
    assert keyless.available
    with pytest.raises(InvalidRequest, match="brave_search_api_key or tavily_search_api_key"):
        await keyless.web_search(QUERY, Call())


async def test_whatever_a_provider_raises_another_may_do(opener: ProviderOpener, up: Upstream) -> None:
    class Odd:
        async def web_search(self, query: WebQuery, call: Call) -> list[WebResult]:
            raise KeyError("secret")

    up.always(SEARXNG.answer(), on=SEARXNG.path)
    await opened(opener, [entry(SEARXNG, up)])
    both = [SearchProvider("odd", Odd()), *search_providers(opener.opened.values())]
    assert len(await WebSearchRouter(both).web_search(QUERY, Call())) == 4
    with pytest.raises(ProviderError, match=r"^Provider 'odd' failed \(KeyError\)\.$"):
        await WebSearchRouter(both[:1]).web_search(QUERY, Call())


# --- which tools there are


class OneConnector:
    """Connectors, of which one answers."""

    async def list_connectors(self, call: Call) -> ListConnectorsResponse:
        return ListConnectorsResponse(
            data=[Connector(connector_id=name, url="https://mcp.example/") for name in ("good", "lost")]
        )

    async def list_tools(self, connector_id: str, call: Call) -> ListToolsResponse:
        if connector_id == "lost":
            raise ProviderError("It is lost.")
        return ListToolsResponse(data=[ToolDef(name="ping", input_schema={"type": "object"})])


async def service(opener: ProviderOpener, mcp: LoopbackMcp, up: Upstream, asking: Any) -> ToolService:
    entries = [
        entry(BRAVE, up, api_key=KEY),
        entry(KEYLESS, up),
        typed("inline::file-search"),
        typed("remote::wolfram-alpha"),
        typed("remote::model-context-protocol"),
    ]
    await opened(opener, entries, connectors=asking)
    groups: list[dict[str, Any]] = [
        {"toolgroup_id": "builtin::websearch", "provider_id": "brave-search"},
        {"toolgroup_id": "mcp::loop", "provider_id": "model-context-protocol", "mcp_endpoint": {"uri": mcp.url}},
        {"toolgroup_id": "mcp::nobody", "provider_id": "missing", "mcp_endpoint": "http://h"},
        {"toolgroup_id": "mcp::gone", "provider_id": "model-context-protocol", "mcp_endpoint": "http://127.0.0.1:9"},
    ]
    found = tool_groups(opener.opened.values(), registered_tool_groups(groups))
    return ToolService(found, connectors=OneConnector())


async def test_every_group_is_listed_once(opener: ProviderOpener, mcp: LoopbackMcp, up: Upstream) -> None:
    async with clients() as asking:
        tools = await service(opener, mcp, up, asking)
        listed = (await tools.list_tools(Call())).data
        names = {(tool.toolgroup_id, tool.name) for tool in listed}
        assert names >= {
            (WEB_SEARCH_GROUP, "web_search"),
            ("builtin::file_search", "file_search"),
            ("builtin::file_search", "knowledge_search"),
            ("builtin::wolfram_alpha", "wolfram_alpha"),
            ("mcp::loop", "add"),
            ("mcp::good", "ping"),
        }
        assert len(names) == len(listed)
        assert {group for group, _ in names} == {
            "builtin::websearch", "builtin::file_search", "builtin::wolfram_alpha", "mcp::loop", "mcp::good"
        }  # fmt: skip
        assert all(tool.input_schema for tool in listed)
        (only,) = (await tools.list_tools(Call(), toolgroup_id=WEB_SEARCH_GROUP)).data
        assert only.name == "web_search"
        assert up.requests == [], "to list costs no search"


async def test_a_group_that_cannot_be_listed_fails_who_asks_for_it(
    opener: ProviderOpener, mcp: LoopbackMcp, up: Upstream
) -> None:
    async with clients() as asking:
        tools = await service(opener, mcp, up, asking)
        with pytest.raises(ProviderError, match="It is lost"):
            await tools.list_tools(Call(), toolgroup_id="mcp::lost")
        with pytest.raises(ProviderError, match="connection refused"):
            await tools.list_tools(Call(), toolgroup_id="mcp::gone")
        with pytest.raises(NotFound, match="'mcp::else'"):
            await tools.list_tools(Call(), toolgroup_id="mcp::else")
        assert (await tools.list_tools(Call(), toolgroup_id="mcp::model-context-protocol")).data == []
        soon = Call(deadline=asyncio.get_running_loop().time())
        with pytest.raises(ProviderError):
            await tools.list_tools(soon, toolgroup_id="mcp::loop")


def test_the_route_is_documented() -> None:
    app = FastAPI()
    add_tool_routes(app, ToolService([]))
    operation = app.openapi()["paths"]["/v1/tools"]["get"]
    assert operation["tags"] == ["Tools"]
    assert [parameter["name"] for parameter in operation["parameters"]] == ["toolgroup_id"]
