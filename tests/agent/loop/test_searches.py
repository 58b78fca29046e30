"""Web and file search in whole responses: what is searched, shown and cited."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from llama_stack.agent.tools.file_search import FileSearchKind
from llama_stack.agent.tools.web_search import WebSearchKind
from llama_stack.config.model import ProviderEntry
from llama_stack.net.client import NetClient
from llama_stack.routing.catalog import Catalog
from llama_stack.routing.opening import ProviderOpener
from llama_stack.routing.tool_groups import WebSearchRouter, search_providers
from llama_stack.storage.kv.memory import MemoryKV
from tests.agent.loop.conftest import Respond
from tests.agent.tools.test_file_search import MemoryStores
from tests.support.agent import ALICE, turn
from tests.support.search_engines import PAGES, SEARXNG
from tests.support.upstream import Recorded, Upstream
from tests.support.upstream_replies import Say, Tool, calls, text

pytestmark = pytest.mark.anyio


@pytest.fixture
def up() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
async def web(up: Upstream, tmp_path: Path) -> AsyncIterator[WebSearchKind]:
    opener = ProviderOpener(
        Catalog(entry_points=tuple),
        state_dir=tmp_path,
        http=lambda name, network: NetClient(name=name),
        kv=lambda api, provider_id: MemoryKV().bind("system", provider_id),
    )
    entry = ProviderEntry(provider_id="searxng", provider_type=SEARXNG.type, config={"base_url": up.url})
    await opener.open("tool_runtime", entry, {})
    yield WebSearchKind(WebSearchRouter(search_providers(opener.opened.values())))
    await opener.close()


def shown_to(body: dict[str, Any]) -> list[str]:
    return [message["content"] for message in body["messages"] if message["role"] == "tool"]


async def test_two_searches_at_once_are_cited_each_for_itself(
    respond: Respond, web: WebSearchKind, up: Upstream
) -> None:
    def engine(request: Recorded) -> Any:
        reply: Any = SEARXNG.answer(PAGES[:1] if request.query["q"] == "paris" else PAGES[3:])
        return reply(request)

    up.always(engine, on=SEARXNG.path)

    def model(body: dict[str, Any]) -> Say:
        shown = shown_to(body)
        if not shown:
            return calls(Tool("web_search", {"query": "paris"}, "a"), Tool("web_search", {"query": "lyon"}, "b"))
        paris, lyon = (re.findall(r"^【(\w+)】", content, re.MULTILINE)[0] for content in shown)
        return text(f"Paris is big【{paris}】. Lyon is great, too [{lyon}].")

    asked = turn("Which?", tools=[{"type": "web_search"}], include=["web_search_call.action.sources"])
    ended = await respond(asked, model, tools=web)
    assert [(item["type"], item["status"]) for item in ended.output] == [
        ("web_search_call", "completed"), ("web_search_call", "completed"), ("message", "completed")
    ]  # fmt: skip
    assert [item["action"]["sources"] for item in ended.output[:2]] == [
        [{"type": "url", "url": page.url}] for page in (PAGES[0], PAGES[3])
    ]
    (part,) = ended.output[-1]["content"]
    assert part["text"] == (
        "Paris is big ([paris.example](https://paris.example/city)). "
        "Lyon is great, too ([lyon.example](http://lyon.example/))."
    )
    assert [annotation["url"] for annotation in part["annotations"]] == [PAGES[0].url, PAGES[3].url]
    for annotation in part["annotations"]:
        span = part["text"][annotation["start_index"] : annotation["end_index"]]
        assert span.startswith("[")
        assert span.endswith(")")
    assert ended.types.count("web_search_call.searching") == 2
    assert ended.types.count("output_text.annotation.added") == 2


async def test_a_search_that_fails_is_told_to_the_model_and_the_response_goes_on(
    respond: Respond, web: WebSearchKind, up: Upstream
) -> None:
    up.always(SEARXNG.refusal(500), on=SEARXNG.path)
    script = [calls(Tool("web_search", {"query": "q"}, "a")), text("I could not look.")]
    ended = await respond(turn("Look!", tools=[{"type": "web_search_preview"}]), script, tools=web)
    assert ended.response["status"] == "completed"
    assert ended.output[0]["status"] == "failed"
    assert "web_search_call.completed" not in ended.types
    assert shown_to(ended.model.asked[1]) == ["The web search failed: Provider 'searxng' failed (HTTP 500)."]


async def test_files_are_searched_for_their_owner_and_cited(respond: Respond) -> None:
    tool = {"type": "file_search", "vector_store_ids": ["vs_1"]}
    script = [
        calls(Tool("file_search", {"query": "what do llamas eat"}, "a")),
        text("They eat grass <|file-a1|>. And hum."),
    ]
    ended = await respond(turn("What?", tools=[tool]), script, tools=FileSearchKind(MemoryStores(ALICE.id)))
    search, message = ended.output
    assert (search["type"], search["status"]) == ("file_search_call", "completed")
    assert not search.get("results"), "only where `include` asks for them"
    (part,) = message["content"]
    assert part["text"] == "They eat grass. And hum."
    assert part["annotations"] == [
        {"type": "file_citation", "file_id": "file-a1", "filename": "llamas.md", "index": 14}
    ]
