"""The tool `web_search`, over a real router and an engine on loopback."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai.types.responses import ResponseFunctionWebSearch, ResponseOutputItemDoneEvent
from pydantic import SecretStr, TypeAdapter

from llama_stack.agent.citations import mark_of
from llama_stack.agent.entries import Entry, Item, ModelCall
from llama_stack.agent.ids import new_id
from llama_stack.agent.tools.base import Bound, BoundTool, ServerTool, ToolContext, ToolKind, ToolResult
from llama_stack.agent.tools.web_search import WebSearchKind
from llama_stack.config.model import ProviderEntry
from llama_stack.net.client import NetClient
from llama_stack.routing.catalog import Catalog
from llama_stack.routing.opening import ProviderOpener
from llama_stack.routing.tool_groups import WebSearchRouter, search_providers
from llama_stack.runs.errors import StepInterrupted
from llama_stack.storage.kv.memory import MemoryKV
from llama_stack_api.errors import LlamaStackError
from llama_stack_api.openai.responses.events import KnownEvent
from llama_stack_api.openai.responses.items import OutputItem
from llama_stack_api.principal import Call
from tests.support.citations import cited
from tests.support.search_engines import KEY, PAGES, TAVILY, Page
from tests.support.upstream import Upstream

pytestmark = pytest.mark.anyio

TOOL: Item = {"type": "web_search"}


@pytest.fixture
def up() -> Iterator[Upstream]:
    with Upstream() as upstream:
        upstream.always(TAVILY.answer(), on=TAVILY.path)
        yield upstream


@pytest.fixture
async def kind(up: Upstream, tmp_path: Path) -> AsyncIterator[WebSearchKind]:
    opener = ProviderOpener(
        Catalog(entry_points=tuple),
        state_dir=tmp_path,
        http=lambda name, network: NetClient(name=name),
        kv=lambda api, provider_id: MemoryKV().bind("system", provider_id),
    )
    entry = ProviderEntry(provider_id="tavily", provider_type=TAVILY.type, config={"base_url": up.url})
    await opener.open("tool_runtime", entry, {})
    yield WebSearchKind(WebSearchRouter(search_providers(opener.opened.values())))
    await opener.close()


CALL = Call(provider_data={"tavily_search_api_key": SecretStr(KEY)})


def model_call(arguments: Any) -> ModelCall:
    return ModelCall("call_1", "web_search", arguments if isinstance(arguments, str) else json.dumps(arguments))


def only(bound: Bound) -> tuple[BoundTool, ServerTool]:
    (tool,) = bound.tools
    assert tool.runner is not None
    return tool, tool.runner


async def ran(kind: WebSearchKind, tool: Item, arguments: Any, call: Call = CALL) -> tuple[ToolResult, list[Item]]:
    """What a call comes to, as the loop runs it, and the items and events that a client sees."""
    _, runner = only(kind.bind(tool, []))
    made = model_call(arguments)
    opened = runner.opened(made, new_id("web_search_call"))
    seen = [opened, *runner.announced(made, opened)]
    try:
        result = await runner.run(made, opened, ToolContext(call))
    except LlamaStackError as error:
        result = runner.failed(made, opened, error)
    seen += [*runner.concluded(result.entry), result.entry.item]
    for number, event in enumerate(seen[1:-1]):
        numbered = {**event, "item_id": opened["id"], "output_index": 0, "sequence_number": number}
        TypeAdapter(KnownEvent).validate_python(numbered)
    for item in (seen[0], seen[-1]):
        TypeAdapter(OutputItem).validate_python(item)
        ResponseFunctionWebSearch.model_validate(item, strict=True)
    return result, seen


async def test_a_search(kind: WebSearchKind) -> None:
    result, seen = await ran(kind, TOOL, {"query": " Paris? "})
    item = result.entry.item
    assert seen[0]["status"] == "in_progress"
    assert seen[0]["action"] == {"type": "search", "query": "Paris?", "queries": ["Paris?"]}
    assert [event["type"].removeprefix("response.web_search_call.") for event in seen[1:-1]] == [
        "in_progress", "searching", "completed"
    ]  # fmt: skip
    assert item["id"] == seen[0]["id"]
    assert item["id"].startswith("ws_")
    assert item["status"] == "completed"
    assert item["action"]["sources"] == [{"type": "url", "url": page.url} for page in PAGES]
    done = {"type": "response.output_item.done", "item": item, "output_index": 0, "sequence_number": 9}
    ResponseOutputItemDoneEvent.model_validate(done, strict=True)


async def test_what_the_model_sees_can_be_cited(kind: WebSearchKind) -> None:
    result, _ = await ran(kind, TOOL, {"query": "paris"})
    shown, sources = result.entry.shown, result.entry.sources
    assert isinstance(shown, str)
    assert [(source.url, source.title) for source in sources] == [(page.url, page.title) for page in PAGES]
    for page, source in zip(PAGES, sources, strict=True):
        assert f"【{mark_of(source)}】 {page.title}\n{page.url}\n" in shown
        assert page.text in shown
    assert PAGES[0].published is not None
    assert PAGES[0].published in shown
    text, annotations = cited(f"It is. 【{mark_of(sources[3])}】 [So]({sources[0].url}).", sources)
    assert [annotation["url"] for annotation in annotations] == [PAGES[3].url, PAGES[0].url]
    assert text.startswith("It is. ([lyon.example](http://lyon.example/))")


async def test_what_the_tool_says_reaches_the_engine(kind: WebSearchKind, up: Upstream) -> None:
    tool = {
        "type": "web_search_2025_08_26",
        "filters": {"allowed_domains": ["paris.example"]},
        "user_location": {"type": "approximate", "country": "FR", "city": None},
        "search_context_size": "high",
    }
    result, _ = await ran(kind, tool, {"query": "paris"})
    assert {source.url for source in result.entry.sources} == {PAGES[0].url, PAGES[1].url}
    sent = up.last.body
    assert (sent["include_domains"], sent["country"], sent["search_depth"]) == (["paris.example"], "france", "advanced")
    bound, _ = only(kind.bind(tool, []))
    assert bound.definition["function"]["description"].endswith("Searches only paris.example.")
    assert bound.origin is tool


@pytest.mark.parametrize(("size", "chars"), [("low", 4_000), ("medium", 10_000), ("high", 24_000), ("odd", 10_000)])
async def test_as_much_as_the_context_size_allows(kind: WebSearchKind, up: Upstream, size: str, chars: int) -> None:
    pages = [Page("https://short.example/", "Short", "little"), Page("https://long.example/", "Long", "x" * 100_000)]
    up.always(TAVILY.answer(pages), on=TAVILY.path)
    result, _ = await ran(kind, {"type": "web_search_preview", "search_context_size": size}, {"query": "q"})
    assert isinstance(result.entry.shown, str)
    assert result.entry.shown.count("x") - "extext".count("x") in range(chars - 20, chars + 20)
    assert "little" in result.entry.shown


async def test_nothing_found_is_no_failure(kind: WebSearchKind, up: Upstream) -> None:
    up.always(TAVILY.answer([]), on=TAVILY.path)
    result, _ = await ran(kind, TOOL, {"query": "q"})
    assert result.entry.item["status"] == "completed"
    assert "found nothing" in str(result.entry.shown)
    assert result.entry.sources == []


@pytest.mark.parametrize(
    "arguments",
    ["", "{", "[]", "3", "[" * 100_000, {}, {"query": 7}, {"query": "  "}],
    ids=lambda each: str(each)[:9],
)
async def test_arguments_that_are_none_are_the_models_to_mend(
    kind: WebSearchKind, up: Upstream, arguments: Any
) -> None:
    result, seen = await ran(kind, TOOL, arguments)
    assert result.entry.item["status"] == "failed"
    assert result.entry.item["action"] == {"type": "search", "query": "", "queries": []}
    assert '"query"' in str(result.entry.shown)
    assert [event["type"] for event in seen[1:-1]] == [
        "response.web_search_call.in_progress",
        "response.web_search_call.searching",
    ]
    assert up.requests == []


async def test_a_failure_is_an_item_and_a_message_without_the_key(kind: WebSearchKind, up: Upstream) -> None:
    up.always(TAVILY.refusal(503), on=TAVILY.path)
    result, _ = await ran(kind, TOOL, {"query": "q"})
    assert result.entry.item["status"] == "failed"
    assert result.entry.shown == "The web search failed: Provider 'tavily' failed (HTTP 503)."
    without, _ = await ran(kind, TOOL, {"query": "q"}, Call())
    assert "tavily_search_api_key" in str(without.entry.shown)
    wrong = Call(provider_data={"tavily_search_api_key": SecretStr("wrong-key")})
    up.always(TAVILY.answer(), on=TAVILY.path)
    refused, _ = await ran(kind, TOOL, {"query": "q"}, wrong)
    assert refused.entry.item["status"] == "failed"
    assert "wrong-key" not in str(refused.entry.shown)


async def test_a_search_may_be_repeated_and_an_interrupted_one_is_told(kind: WebSearchKind) -> None:
    _, runner = only(kind.bind(TOOL, []))
    assert runner.idempotent
    made = model_call({"query": "q"})
    result = runner.failed(made, runner.opened(made, "ws_1"), StepInterrupted("tool:ws_1"))
    assert result.entry == Entry(result.entry.item, call=made, shown=result.entry.shown)
    assert "interrupted" in str(result.entry.shown)


def test_all_its_names() -> None:
    as_kind: ToolKind = WebSearchKind(WebSearchRouter([]))
    assert as_kind.types == {
        "web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11"
    }  # fmt: skip


def test_without_access_to_the_web_it_is_not_offered() -> None:
    nobody = WebSearchKind(WebSearchRouter([]))
    tool = {"type": "web_search", "external_web_access": False}
    nobody.check(tool)
    assert nobody.bind(tool, []) == Bound()


def test_without_a_provider_it_is_not_offered_and_the_request_is_not_refused() -> None:
    """Coding agents send the tool whether anybody asked for it or not."""
    nobody = WebSearchKind(WebSearchRouter([]))
    nobody.check(TOOL)
    assert nobody.bind(TOOL, []) == Bound()
