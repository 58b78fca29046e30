"""Server tools for a model whose provider knows none: web search, web fetch, MCP servers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import anthropic
import pytest

from tests.support.mcp_server import LoopbackMcp
from tests.support.messaging import Messaging, messaging
from tests.support.search_engines import PAGES, SEARXNG
from tests.support.upstream import Answer, Recorded, Stall, Tool, calls, text

pytestmark = pytest.mark.anyio

SEARCH: dict[str, Any] = {"type": "web_search_20250305", "name": "web_search"}
FETCH: dict[str, Any] = {"type": "web_fetch_20250910", "name": "web_fetch"}


async def ask(served: Messaging, *messages: Any, streamed: bool = False, **options: Any) -> Any:
    asked = [{"role": "user", "content": each} if isinstance(each, str) else each for each in messages]
    options = {"model": "chat", "max_tokens": 100, "messages": asked, **options}
    if not streamed:
        return await served.client.beta.messages.create(**options)
    async with served.client.beta.messages.stream(**options) as stream:
        return await stream.get_final_message()


def searched(query: str, identifier: str = "call_1") -> Tool:
    return Tool("web_search", {"query": query}, id=identifier)


def asked_of_model(served: Messaging) -> list[dict[str, Any]]:
    return [request.body for request in served.chat.requests if request.path.endswith("/completions")]


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_search_is_run_and_shown_to_the_model(served: Messaging, streamed: bool) -> None:
    served.web.always(SEARXNG.answer(PAGES), on=SEARXNG.path)
    served.chat.reply(calls(searched("capital of France")), text("Paris."), on="/completions")
    message = await ask(served, "Capital?", streamed=streamed, tools=[SEARCH])
    assert [block.type for block in message.content] == ["server_tool_use", "web_search_tool_result", "text"]
    use, result, said = message.content
    assert (use.name, use.input) == ("web_search", {"query": "capital of France"})
    assert use.id.startswith("srvtoolu_")
    assert result.tool_use_id == use.id
    assert [page.url for page in result.content] == [page.url for page in PAGES]
    assert "Paris" not in result.content[0].encrypted_content
    assert said.text == "Paris."
    assert message.stop_reason == "end_turn"
    assert message.usage.server_tool_use.web_search_requests == 1
    assert message.usage.input_tokens == 18
    first, second = asked_of_model(served)
    assert [tool["function"]["name"] for tool in first["tools"]] == ["web_search"]
    told = second["messages"][-1]
    assert told["role"] == "tool"
    assert "Paris is the capital of France." in told["content"]


async def test_what_was_found_is_understood_in_the_next_turn(served: Messaging) -> None:
    served.web.always(SEARXNG.answer(PAGES), on=SEARXNG.path)
    served.chat.reply(calls(searched("capital")), text("Paris."), text("As I said."), on="/completions")
    before = await ask(served, "Capital?", tools=[SEARCH])
    content = [block.model_dump(exclude_none=True) for block in before.content]
    await ask(served, "Capital?", {"role": "assistant", "content": content}, "Sure?", tools=[SEARCH])
    told = [message for message in asked_of_model(served)[-1]["messages"] if message["role"] == "tool"]
    assert "Paris is the capital of France." in told[0]["content"]


async def test_domains_and_the_number_of_uses_are_kept_to(served: Messaging) -> None:
    served.web.always(SEARXNG.answer(PAGES), on=SEARXNG.path)
    served.chat.reply(calls(searched("a"), searched("b", "call_2")), text("Done."), on="/completions")
    tool = {**SEARCH, "max_uses": 1, "blocked_domains": ["paris.example"]}
    message = await ask(served, "Go.", tools=[tool])
    found, refused = (block.content for block in message.content if block.type == "web_search_tool_result")
    assert [page.url for page in found] == ["https://notparis.example/", "http://lyon.example/"]
    assert refused.error_code == "max_uses_exceeded"
    assert message.content[-1].text == "Done."


async def test_a_search_that_fails_is_a_result(served: Messaging) -> None:
    served.web.always(Answer(status=500), on=SEARXNG.path)
    served.chat.reply(calls(searched("a")), text("No luck."), on="/completions")
    message = await ask(served, "Go.", tools=[SEARCH])
    assert message.content[1].content.error_code == "unavailable"
    assert message.content[2].text == "No luck."


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_tool_of_the_clients_ends_the_turn_with_what_was_found(served: Messaging, streamed: bool) -> None:
    served.web.always(SEARXNG.answer(PAGES), on=SEARXNG.path)
    served.chat.reply(calls(searched("a"), Tool("mine", {"x": 1}, id="call_2")), on="/completions")
    mine = {"name": "mine", "input_schema": {"type": "object", "properties": {}}}
    message = await ask(served, "Go.", streamed=streamed, tools=[SEARCH, mine])
    assert [block.type for block in message.content] == ["server_tool_use", "tool_use", "web_search_tool_result"]
    assert message.stop_reason == "tool_use"
    assert message.content[1].input == {"x": 1}


async def test_too_many_rounds_pause_the_turn(tmp_path: Path) -> None:
    async with messaging(tmp_path, messages={"rounds_max": 2}) as served:
        served.web.always(SEARXNG.answer(PAGES), on=SEARXNG.path)
        served.chat.always(calls(searched("again")), on="/completions")
        message = await ask(served, "Go.", tools=[SEARCH])
        assert message.stop_reason == "pause_turn"
        assert len(asked_of_model(served)) == 2
        assert [block.type for block in message.content] == ["server_tool_use", "web_search_tool_result"] * 2
        served.chat.always(text("Enough."), on="/completions")
        content = [block.model_dump(exclude_none=True) for block in message.content]
        goes_on = await ask(served, "Go.", {"role": "assistant", "content": content}, tools=[SEARCH])
        assert [block.type for block in goes_on.content] == ["text"]


async def test_a_tool_that_had_to_be_called_need_not_be_called_again(served: Messaging) -> None:
    served.web.always(SEARXNG.answer(PAGES), on=SEARXNG.path)
    served.chat.reply(calls(searched("a")), text("Done."), on="/completions")
    await ask(served, "Go.", tools=[SEARCH], tool_choice={"type": "any"})
    first, second = asked_of_model(served)
    assert first["tool_choice"] == "required"
    assert "tool_choice" not in second


@pytest.fixture
def page(served: Messaging) -> str:
    body = b"<html><head><title>The fox</title></head><body><p>The fox is quick.</p></body></html>"
    served.web.always(Answer(headers={"content-type": "text/html; charset=utf-8"}, parts=[body]), on="/fox")
    return f"{served.web.url}/fox"


def fetched(url: str) -> Tool:
    return Tool("web_fetch", {"url": url}, id="call_1")


async def test_a_page_that_the_user_names_is_fetched_as_text(served: Messaging, page: str) -> None:
    served.chat.reply(calls(fetched(page)), text("Quick."), on="/completions")
    message = await ask(served, f"What does {page}, say?", tools=[FETCH])
    result = message.content[1].content
    assert (result.type, result.url, result.content.title) == ("web_fetch_result", page, "The fox")
    assert "The fox is quick." in result.content.source.data
    assert "<p>" not in result.content.source.data
    assert message.usage.server_tool_use.web_fetch_requests == 1
    assert "The fox is quick." in asked_of_model(served)[1]["messages"][-1]["content"]


@pytest.mark.parametrize(
    ("named", "asked", "tool", "code"),
    [
        ("Look.", "{page}", {}, "url_not_allowed"),
        ("Look at {page}?secret=1.", "{page}?secret=2", {}, "url_not_allowed"),
        ("{page}", "{page}", {"blocked_domains": ["127.0.0.1"]}, "url_not_allowed"),
        ("{page}", "{page}", {"allowed_domains": ["example.com"]}, "url_not_allowed"),
        ("{page}-gone", "{page}-gone", {}, "url_not_accessible"),
        ("{page}", "nowhere", {}, "invalid_tool_input"),
        ("http://169.254.169.254/latest", "http://169.254.169.254/latest", {}, "url_not_allowed"),
    ],
)
async def test_what_may_not_or_cannot_be_fetched(
    served: Messaging, page: str, named: str, asked: str, tool: dict[str, Any], code: str
) -> None:
    served.chat.reply(calls(fetched(asked.format(page=page))), text("Hm."), on="/completions")
    message = await ask(served, named.format(page=page), tools=[{**FETCH, **tool}])
    assert message.content[1].content.error_code == code
    assert message.content[2].text == "Hm."


async def test_other_content_and_long_pages(served: Messaging, page: str) -> None:
    served.web.always(Answer(headers={"content-type": "image/png"}, parts=[b"\x89PNG"]), on="/image")
    image = f"{served.web.url}/image"
    served.chat.reply(calls(fetched(image), Tool("web_fetch", {"url": page}, id="c2")), text("."), on="/completions")
    message = await ask(served, f"{image} {page}", tools=[{**FETCH, "max_content_tokens": 1}])
    first, second = (block.content for block in message.content if block.type == "web_fetch_tool_result")
    assert first.error_code == "unsupported_content_type"
    assert len(second.content.source.data) == 4


@pytest.fixture
def mcp() -> Any:
    with LoopbackMcp() as server:
        yield server


@pytest.mark.parametrize("streamed", [False, True])
async def test_tools_of_mcp_servers_are_run(served: Messaging, mcp: LoopbackMcp, streamed: bool) -> None:
    served.chat.reply(calls(Tool("add", {"a": 1, "b": 2}, id="call_1")), text("3"), on="/completions")
    message = await ask(
        served,
        "Add.",
        streamed=streamed,
        mcp_servers=[{"type": "url", "name": "box", "url": mcp.url, "authorization_token": "t0k"}],
        tools=[
            {
                "type": "mcp_toolset",
                "mcp_server_name": "box",
                "default_config": {"enabled": False},
                "configs": {"add": {"enabled": True}},
            }
        ],
        betas=["mcp-client-2025-11-20"],
    )
    use, result, said = message.content
    assert (use.type, use.name, use.server_name, use.input) == ("mcp_tool_use", "add", "box", {"a": 1, "b": 2})
    assert (result.type, result.tool_use_id, result.is_error) == ("mcp_tool_result", use.id, False)
    assert "3" in result.content[0].text
    assert said.text == "3"
    assert mcp.log.calls("add") == [{"a": 1, "b": 2}]
    first, second = asked_of_model(served)
    assert [tool["function"]["name"] for tool in first["tools"]] == ["add"]
    assert "t0k" not in str(first) + str(second)


async def test_the_older_way_to_choose_tools_and_one_that_fails(served: Messaging, mcp: LoopbackMcp) -> None:
    served.chat.reply(calls(Tool("fails", {}, id="call_1")), text("Oh."), on="/completions")
    server = {"type": "url", "name": "box", "url": mcp.url, "tool_configuration": {"allowed_tools": ["fails", "echo"]}}
    message = await ask(served, "Go.", mcp_servers=[server], betas=["mcp-client-2025-04-04"])
    assert message.content[1].is_error is True
    assert sorted(tool["function"]["name"] for tool in asked_of_model(served)[0]["tools"]) == ["echo", "fails"]


async def test_a_server_that_does_not_answer_is_a_400(served: Messaging) -> None:
    server = {"type": "url", "name": "box", "url": f"{served.web.url}/nothing"}
    with pytest.raises(anthropic.BadRequestError, match="box"):
        await ask(served, "Go.", mcp_servers=[server], betas=["mcp-client-2025-04-04"])


async def test_a_client_that_hangs_up_ends_the_search(served: Messaging) -> None:
    loop, begun = asyncio.get_running_loop(), asyncio.Event()

    def searching(request: Recorded) -> Answer:
        loop.call_soon_threadsafe(begun.set)
        return Answer(before=[Stall()])

    served.web.always(searching, on=SEARXNG.path)
    served.chat.reply(calls(searched("a")), on="/completions")
    asked: Any = [{"role": "user", "content": "Go."}]
    tools: Any = [SEARCH]
    async with served.client.messages.stream(model="chat", max_tokens=10, messages=asked, tools=tools) as stream:
        async for event in stream:
            if event.type == "content_block_stop":
                break
        await begun.wait()
    await served.web.last.wait_hung_up()


async def test_claude_gets_server_tools_as_they_are(served: Messaging) -> None:
    await ask(served, "Go.", model="claude", tools=[SEARCH])
    assert served.claude.last.body["tools"] == [SEARCH]


async def test_a_failing_round_is_an_error_of_the_stream(served: Messaging) -> None:
    served.web.always(SEARXNG.answer(PAGES), on=SEARXNG.path)
    served.chat.reply(calls(searched("a")), Answer(status=500), on="/completions")
    with pytest.raises(anthropic.APIStatusError):
        await ask(served, "Go.", streamed=True, tools=[SEARCH])
