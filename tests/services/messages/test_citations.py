"""Citations over an upstream that knows none: what the model says is attributed to what it was shown."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import anthropic
import pytest

from tests.support.anthropic_upstream import AnthropicUpstream, says
from tests.support.documents import pdf
from tests.support.guarding import SAFETY, SHIELDS, guards
from tests.support.messaging import Messaging
from tests.support.search_engines import PAGES, SEARXNG
from tests.support.upstream import Answer, Tool, Wire, calls, text
from tests.support.whole_stack import whole_stack

pytestmark = pytest.mark.anyio
both = pytest.mark.parametrize("streamed", [False, True])

ON = {"enabled": True}
LLAMAS = "Llamas eat grass and hay.  They drink\nvery little water.\n\nThey hum to each other: “Hm.” Some spit."
SAID = "The file says this. Llamas eat grass and hay! They drink little water, no wine.\n\nShall I go on? "


def document(source: Any, **options: Any) -> dict[str, Any]:
    return {"type": "document", "source": source, "citations": ON, **options}


def plain(data: str, **options: Any) -> dict[str, Any]:
    return document({"type": "text", "media_type": "text/plain", "data": data}, **options)


def found(*texts: str, source: str = "https://llamas.example/", citations: Any = ON) -> dict[str, Any]:
    content = [{"type": "text", "text": each} for each in texts]
    return {"type": "search_result", "source": source, "title": "Llamas", "content": content, "citations": citations}


async def ask(served: Messaging, streamed: bool, *blocks: Any, said: str = SAID, **options: Any) -> Any:
    served.chat.always(text(said), on="/completions")
    messages = [{"role": "user", "content": [*blocks, {"type": "text", "text": "What do they eat?"}]}]
    return await answer(served, streamed, messages, **options)


async def answer(served: Messaging, streamed: bool, messages: Any, **options: Any) -> Any:
    options = {"model": "chat", "max_tokens": 100, "messages": messages, **options}
    if not streamed:
        return await served.client.messages.create(**options)
    async with served.client.messages.stream(**options) as stream:
        return await stream.get_final_message()


def cited(message: Any) -> list[tuple[str, Any]]:
    """The texts of the message, each with its citation."""
    texts = [block for block in message.content if block.type == "text"]
    assert all(block.text.strip() for block in texts), "Anthropic takes no empty texts back"
    assert all(block.citations is None or len(block.citations) == 1 for block in texts)
    return [(block.text, block.citations[0] if block.citations else None) for block in texts]


@both
async def test_a_text_is_cited_by_its_characters(served: Messaging, streamed: bool) -> None:
    message = await ask(served, streamed, plain(LLAMAS, title="Notes"))
    (start, nothing), (grass, one), (water, two), (end, no_more) = cited(message)
    assert (start, nothing, no_more) == ("The file says this.", None, None)
    assert (grass, water) == (" Llamas eat grass and hay!", " They drink little water, no wine.")
    assert end == "\n\nShall I go on? "
    assert one.model_dump() == {
        "type": "char_location",
        "cited_text": "Llamas eat grass and hay.",
        "document_index": 0,
        "document_title": "Notes",
        "file_id": None,
        "start_char_index": 0,
        "end_char_index": 25,
    }
    assert two.cited_text == "They drink\nvery little water."
    assert LLAMAS[two.start_char_index : two.end_char_index] == two.cited_text


@both
async def test_a_pdf_is_cited_by_its_pages(served: Messaging, streamed: bool) -> None:
    body = pdf([["About camels."], ["Llamas eat grass and hay.", "They drink very little", "water."]])
    source = {"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(body).decode()}
    message = await ask(served, streamed, document(source))
    citations = [citation for _, citation in cited(message) if citation]
    assert [citation.model_dump() for citation in citations] == [
        {
            "type": "page_location",
            "cited_text": said,
            "document_index": 0,
            "document_title": None,
            "file_id": None,
            "start_page_number": 2,
            "end_page_number": 3,
        }
        for said in ("Llamas eat grass and hay.", "They drink very little\nwater.")
    ]


@both
async def test_blocks_of_ones_own_are_cited_whole(served: Messaging, streamed: bool) -> None:
    content = [{"type": "text", "text": each} for each in ("Camels first.", "Llamas eat grass and hay. Yes.")]
    message = await ask(served, streamed, document({"type": "content", "content": content}))
    (citation,) = (citation for _, citation in cited(message) if citation)
    assert citation.model_dump() == {
        "type": "content_block_location",
        "cited_text": "Llamas eat grass and hay. Yes.",
        "document_index": 0,
        "document_title": None,
        "file_id": None,
        "start_block_index": 1,
        "end_block_index": 2,
    }


@both
async def test_search_results_are_cited_wherever_they_stand(served: Messaging, streamed: bool) -> None:
    served.chat.always(text(SAID), on="/completions")
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [found("Hm.", LLAMAS[:57])]}
    messages = [
        {"role": "user", "content": [found("Nothing of use."), {"type": "text", "text": "Search on."}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "search", "input": {}}]},
        {"role": "user", "content": [result]},
    ]
    message = await answer(served, streamed, messages, tools=[{"name": "search", "input_schema": {"type": "object"}}])
    grass, water = (citation for _, citation in cited(message) if citation)
    assert grass == water
    assert grass.model_dump() == {
        "type": "search_result_location",
        "cited_text": LLAMAS[:57],
        "search_result_index": 1,
        "source": "https://llamas.example/",
        "title": "Llamas",
        "start_block_index": 1,
        "end_block_index": 2,
    }


@both
async def test_documents_are_counted_with_those_that_are_not_cited(served: Messaging, streamed: bool) -> None:
    served.chat.always(text(SAID), on="/completions")
    messages = [
        {"role": "user", "content": [plain(LLAMAS, citations=None), plain("Camels are not llamas.")]},
        {"role": "assistant", "content": "Thanks."},
        {"role": "user", "content": [plain(LLAMAS[:25], title="Third"), {"type": "text", "text": "What do they eat?"}]},
    ]
    message = await answer(served, streamed, messages)
    (citation,) = (citation for _, citation in cited(message) if citation)
    assert (citation.document_index, citation.document_title) == (2, "Third")


@both
async def test_nothing_is_cited_that_nobody_wants_cited(served: Messaging, streamed: bool) -> None:
    for block in (plain(LLAMAS, citations=None), plain(LLAMAS, citations={"enabled": False}), found(citations=None)):
        assert cited(await ask(served, streamed, block)) == [(SAID, None)]


@both
async def test_what_a_search_finds_is_cited(served: Messaging, streamed: bool) -> None:
    served.web.always(SEARXNG.answer(PAGES), on=SEARXNG.path)
    said = "I have looked. The capital of France is Paris. Anything else?"
    search = {"type": "web_search_20250305", "name": "web_search"}
    tools = {"tools": [search]}
    served.chat.reply(calls(Tool("web_search", {"query": "capital"}, id="call_1")), text(said), on="/completions")
    message = await answer(served, streamed, [{"role": "user", "content": "Capital?"}], **tools)
    assert [block.type for block in message.content][:2] == ["server_tool_use", "web_search_tool_result"]
    citations = [(said, citation and citation.cited_text) for said, citation in cited(message)]
    assert citations == [
        ("I have looked.", None),
        (" The capital of France is Paris.", "Paris is the capital of France."),
        (" Anything else?", None),
    ]
    citation = message.content[3].citations[0]
    assert citation.type == "web_search_result_location"
    assert (citation.url, citation.title) == (PAGES[0].url, PAGES[0].title)
    assert citation.encrypted_index
    # What came of it can be sent back, and what was found then is cited still.
    before = [block.model_dump(exclude_none=True) for block in message.content]
    served.chat.reply(text("It is Paris, the capital of France."), on="/completions")
    messages = [{"role": "user", "content": "Capital?"}, {"role": "assistant", "content": before}]
    again = await answer(served, streamed, [*messages, {"role": "user", "content": "Sure?"}], **tools)
    assert [citation.url for _, citation in cited(again)] == [PAGES[0].url]
    assert served.chat.last.body["messages"][-2]["content"] == said


@both
async def test_a_fetched_page_is_counted_behind_the_documents(served: Messaging, streamed: bool) -> None:
    served.web.always(Answer(headers={"content-type": "text/plain"}, parts=[LLAMAS.encode()]), on="/llamas.txt")
    url = f"{served.web.url}/llamas.txt"
    served.chat.reply(calls(Tool("web_fetch", {"url": url}, id="call_1")), text(SAID), on="/completions")
    fetch = {"type": "web_fetch_20250910", "name": "web_fetch", "citations": ON}
    content = [plain("About camels."), {"type": "text", "text": f"Read {url}"}]
    message = await answer(served, streamed, [{"role": "user", "content": content}], tools=[fetch])
    grass, water = (citation for _, citation in cited(message) if citation)
    assert (grass.type, grass.document_index) == ("char_location", 1)
    assert LLAMAS[water.start_char_index : water.end_char_index] == water.cited_text


@both
async def test_calls_keep_their_place_behind_cited_text(served: Messaging, streamed: bool) -> None:
    tool = Tool("feed", {"hay": 1}, id="call_1")
    served.chat.always(calls(tool, content="So: llamas eat grass and hay. I feed them."), on="/completions")
    tools = [{"name": "feed", "input_schema": {"type": "object", "properties": {"hay": {"type": "integer"}}}}]
    content = [plain(LLAMAS), {"type": "text", "text": "Feed them."}]
    message = await answer(served, streamed, [{"role": "user", "content": content}], tools=tools)
    assert [block.type for block in message.content] == ["text", "text", "tool_use"]
    assert message.content[0].citations[0].end_char_index == 25
    assert message.content[2].input == {"hay": 1}
    assert message.stop_reason == "tool_use"


@both
async def test_structured_outputs_cannot_be_cited(served: Messaging, streamed: bool) -> None:
    form = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    for block in (plain(LLAMAS), found(LLAMAS)):
        with pytest.raises(anthropic.BadRequestError, match="Citations cannot be combined with structured outputs"):
            await ask(served, streamed, block, output_config=form)
    assert served.chat.requests == []
    said = '{"said": "Llamas eat grass and hay."}'
    message = await ask(served, streamed, plain(LLAMAS, citations=None), said=said, output_config=form)
    assert cited(message) == [(said, None)]


@both
async def test_a_long_document_is_cited_too(served: Messaging, streamed: bool) -> None:
    """Long enough to be looked through in a thread."""
    filler = " ".join(f"Entry {number} is about number {number * 7}." for number in range(2_000))
    message = await ask(served, streamed, plain(f"{filler} {LLAMAS}"))
    citation = next(citation for _, citation in cited(message) if citation)
    assert citation.cited_text == "Llamas eat grass and hay."
    assert citation.start_char_index == len(filler) + 1


async def test_a_sentence_comes_as_soon_as_it_is_over(served: Messaging) -> None:
    """And word by word where nothing is to be cited."""
    served.chat.always(text("Llamas eat grass and hay. Yes they", wire=Wire(stall_after=8)), on="/completions")
    for block, first in ((plain(LLAMAS), "Llamas eat grass and hay."), (plain(LLAMAS, citations=None), "Llamas")):
        messages: Any = [{"role": "user", "content": [block, {"type": "text", "text": "What do they eat?"}]}]
        async with served.client.messages.stream(model="chat", max_tokens=10, messages=messages) as stream:
            async for piece in stream.text_stream:
                assert piece.strip() == first
                break
        await served.chat.last.wait_hung_up()


async def test_events_come_in_the_order_of_the_contract(served: Messaging) -> None:
    served.chat.always(text("Llamas eat grass and hay. Yes."), on="/completions")
    messages: Any = [{"role": "user", "content": [plain(LLAMAS), {"type": "text", "text": "What do they eat?"}]}]
    told = []
    asked = {"model": "chat", "max_tokens": 10, "messages": messages}
    async for event in await served.client.messages.create(**asked, stream=True):
        kind = event.delta.type if event.type == "content_block_delta" else event.type
        told.append((kind, getattr(event, "index", None)))
    cited_block = [("content_block_start", 0), ("text_delta", 0), ("citations_delta", 0), ("content_block_stop", 0)]
    plain_block = [("content_block_start", 1), ("text_delta", 1), ("content_block_stop", 1)]
    blocks = [(kind, index) for kind, index in told if index is not None]
    assert blocks == cited_block + plain_block
    assert [kind for kind, index in told if index is None] == ["message_start", "message_delta", "message_stop"]


async def test_providers_that_make_citations_are_left_to_it(served: Messaging) -> None:
    served.claude.always(says("Llamas eat grass and hay."))
    content = [plain(LLAMAS), found(LLAMAS), {"type": "text", "text": "What do they eat?"}]
    message = await answer(served, False, [{"role": "user", "content": content}], model="claude")
    assert served.claude.last.body["messages"] == [{"role": "user", "content": content}]
    assert cited(message) == [("Llamas eat grass and hay.", None)]


async def test_a_pdf_that_the_model_reads_itself_is_cited_by_its_pages(tmp_path: Path) -> None:
    """A guard stands at the Messages API, so that Anthropic's own is asked by way of a chat completion."""
    async with AnthropicUpstream() as upstream:
        config = {"base_url": upstream.url, "api_key": "key"}
        model = {"model_id": "claude", "provider_id": "up", "provider_model_id": "claude-1"}
        providers = {
            "inference": [{"provider_id": "up", "provider_type": "remote::anthropic", "config": config}],
            "file_processors": [{"provider_id": "auto", "provider_type": "inline::auto"}],
            "safety": SAFETY,
        }
        resources = {"models": [model], "shields": SHIELDS}
        async with (
            whole_stack(
                tmp_path, [], [], providers=providers, registered_resources=resources, safety=guards("messages")
            ) as server,
            anthropic.AsyncAnthropic(base_url=server.url, api_key="none", max_retries=0) as client,
        ):
            upstream.always(says("Llamas eat grass and hay."))
            data = base64.b64encode(pdf([["About camels."], ["Llamas eat grass and hay."]])).decode()
            broken = base64.b64encode(b"%PDF-1.7 broken").decode()
            for body, pages in ((data, [(2, 3)]), (broken, [])):
                source = {"type": "base64", "media_type": "application/pdf", "data": body}
                content: Any = [document(source), {"type": "text", "text": "What do they eat?"}]
                messages: Any = [{"role": "user", "content": content}]
                message = await client.messages.create(model="claude", max_tokens=10, messages=messages)
                asked = upstream.last.body["messages"][0]["content"][0]["source"]
                assert asked["data"] == body
                found = [citation for _, citation in cited(message) if citation]
                assert [(each.start_page_number, each.end_page_number) for each in found] == pages
