"""Whatever is said of whatever is shown: citations are of the text that they say, and how a text comes matters not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import ContentBlock, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from llama_stack.services.messages.citations_claims import CHARS_MAX as SOURCES_CHARS_MAX
from llama_stack.services.messages.citations_claims import PASSAGES_MAX, Claims
from llama_stack.services.messages.citations_events import CitedEvents, cited_message
from llama_stack.services.messages.citations_sentences import CHARS_MAX, Sentences
from llama_stack.services.messages.citations_sources import (
    Blocks,
    Citable,
    PagedDocument,
    Sources,
    TextDocument,
    WebPage,
)
from llama_stack_api.anthropic.content import Citation
from llama_stack_api.ports.file_processors import Page

PIECES = [
    *("Llamas eat grass and hay", "they hum", "Rockets burn 13.5 tons of kerosene", "骆驼吃草", "Émile dort"),
    *(
        ". ",
        "! ",
        ".\n",
        "\n",
        "\n\n",
        " ",
        "  ",
        "?",
        "…",
        "。",
        "」",
        '"',
        ")",
        "1. ",
        "- ",
        "# ",
        "Dr. ",
        "\u3000",
        "x",
    ),
]
texts = st.lists(st.sampled_from(PIECES), max_size=20).map("".join)
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
BLOCK: TypeAdapter[Any] = TypeAdapter(ContentBlock)
CITATION: TypeAdapter[Any] = TypeAdapter(Citation)


def cut(text: str, places: Sequence[int]) -> list[str]:
    marks = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[start:end] for start, end in pairwise(marks)]


places = st.lists(st.integers(0, 10_000), max_size=12)


@given(texts, places)
def test_how_a_text_is_cut_makes_no_difference_to_its_sentences(text: str, at: Sequence[int]) -> None:
    def sentences(pieces: Sequence[str]) -> list[str]:
        found = Sentences()
        return [*(sentence for piece in pieces for sentence in found.feed(piece)), *found.finish()]

    whole = sentences([text])
    assert "".join(whole) == text
    assert whole == sentences(cut(text, at))
    assert not text.strip() or all(sentence.strip() for sentence in whole)


def test_a_sentence_has_an_end() -> None:
    found = Sentences()
    assert [len(sentence) for sentence in found.feed("x" * (2 * CHARS_MAX + 1))] == [CHARS_MAX, CHARS_MAX]
    assert list(found.finish()) == ["x"]


def test_what_a_sentence_is() -> None:
    text = 'See 3.5, e.g. Dr. No. "Yes!" he said… 1. One\n2. Two\n\n骆驼吃草。「是。」Ok?'
    found = Sentences()
    assert [*found.feed(text), *found.finish()] == [
        *(
            "See 3.5, e.g.",
            " Dr. No.",
            ' "Yes!"',
            " he said…",
            " 1. One",
            "\n2. Two",
            "\n\n骆驼吃草。",
            "「是。」",
            "Ok?",
        )
    ]


def paged(pages: Sequence[str]) -> PagedDocument:
    found, text = [], ""
    for number, page in enumerate(pages, start=1):
        found.append(Page(number, len(text), len(text) + len(page)))
        text += page + "\n\n"
    return PagedDocument({"document_index": 1, "document_title": None, "file_id": None}, text, found)


ABOUT = {"document_index": 0, "document_title": "Notes", "file_id": None}
RESULT = {"type": "search_result_location", "search_result_index": 0, "source": "s", "title": None}
many = st.lists(texts, min_size=1, max_size=4)
sources = st.one_of(
    st.builds(TextDocument, st.just(ABOUT), texts),
    st.builds(paged, many),
    st.builds(Blocks, st.just({"type": "content_block_location", **ABOUT}), many),
    st.builds(Blocks, st.just(RESULT), many),
    st.builds(WebPage, st.just("https://a.example/"), st.none(), texts),
)


def place_of(source: Citable, citation: Any) -> str:
    """The text at the place that a citation names."""
    match source:
        case TextDocument():
            return source.text[citation["start_char_index"] : citation["end_char_index"]]
        case Blocks():
            return "".join(source.texts[citation["start_block_index"] : citation["end_block_index"]])
        case PagedDocument():
            assert citation["end_page_number"] == citation["start_page_number"] + 1
            page = source.pages[citation["start_page_number"] - 1]
            return source.text[page.start : page.end]
        case _:
            return source.text


@given(sources, texts)
def test_what_is_cited_stands_where_the_citation_says(source: Citable, said: str) -> None:
    sentences = Sentences()
    claims = Claims([source])
    for sentence in [*sentences.feed(said), *sentences.finish()]:
        for citation in claims.citations(sentence):
            CITATION.validate_python(citation)
            assert citation["cited_text"].strip()
            there = place_of(source, citation)
            if citation["type"] in ("page_location", "web_search_result_location"):
                assert citation["cited_text"] in there
            else:
                assert citation["cited_text"] == there


def test_long_sources_are_cited_in_all_their_passages() -> None:
    texts = [f"Entry {number} tells of number {number * 7}, which is word{number}.\n" for number in range(500)]
    claims = Claims([TextDocument(ABOUT, "".join(texts)), paged(texts)])
    for number in range(0, 500, 7):
        (citation,) = claims.citations(f"So entry {number} tells of {number * 7} and word{number}.")
        assert citation["cited_text"] == texts[number].strip()


def test_there_is_an_end_to_what_is_looked_through() -> None:
    blocks = Blocks(RESULT, [f"Block number{place}." for place in range(PASSAGES_MAX + 1)])
    claims = Claims([blocks])
    assert claims.citations(f"Block number{PASSAGES_MAX - 1}.")[0]["start_block_index"] == PASSAGES_MAX - 1
    assert claims.citations(f"Block number{PASSAGES_MAX}.") == []
    text = TextDocument(ABOUT, "x. " * (SOURCES_CHARS_MAX // 3) + "Llamas hum. ")
    assert Claims([text]).citations("Llamas hum.") == []


TOOL = {"type": "tool_use", "id": "toolu_1", "name": "feed", "input": {}}
CLAIMS = Claims([TextDocument(ABOUT, "Llamas eat grass and hay. They hum.\nRockets burn 13.5 tons of kerosene.")])


def events_of(blocks: Sequence[str | None], at: Sequence[int]) -> Iterator[Any]:
    """Of texts, and of calls for None."""
    usage = {"input_tokens": 1, "output_tokens": 1}
    about = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage}
    yield {"type": "message_start", "message": {**about, "stop_reason": None, "stop_sequence": None}}
    for index, said in enumerate(blocks):
        start = TOOL if said is None else {"type": "text", "text": "", "citations": None}
        yield {"type": "content_block_start", "index": index, "content_block": start}
        for piece in cut(said or "", at) if said else ():
            yield {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": piece}}
        yield {"type": "content_block_stop", "index": index}
    delta = {"stop_reason": "end_turn", "stop_sequence": None, "stop_details": None}
    yield {"type": "message_delta", "delta": delta, "usage": usage}
    yield {"type": "message_stop"}


@given(st.lists(texts.filter(bool) | st.none(), max_size=4), places)
def test_streamed_and_whole_are_the_same_message(blocks: Sequence[str | None], at: Sequence[int]) -> None:
    cited, snapshot, opened = CitedEvents(CLAIMS), None, -1
    arguments: dict[int, bytes] = {}
    for event in cited.feed(events_of(blocks, at)):
        parsed = EVENT.validate_python(event)
        snapshot = accumulate_event(event=parsed, current_snapshot=snapshot, json_bufs=arguments)
        opened += event["type"] == "content_block_start"
        assert event.get("index", opened) == opened
    assert snapshot is not None
    streamed = [block.model_dump(exclude={"parsed_output"}) for block in snapshot.content]
    content = [TOOL if said is None else {"type": "text", "text": said, "citations": None} for said in blocks]
    whole = cited_message({"content": content}, CLAIMS)["content"]
    assert streamed == [BLOCK.validate_python(block).model_dump() for block in whole]
    assert "".join(block.get("text", "|") for block in whole) == "".join(
        "|" if said is None else said for said in blocks
    )


def test_documents_are_counted_wherever_they_stand() -> None:
    def document(text: str, *, cited: bool = True) -> Any:
        source = {"type": "text", "media_type": "text/plain", "data": text}
        return {"type": "document", "source": source, "citations": {"enabled": cited}}

    fetched = {"type": "web_fetch_tool_result", "content": {"type": "web_fetch_result", "content": document("c")}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [document("b")]}
    messages = [
        {"role": "user", "content": [document("a", cited=False), result]},
        {"role": "assistant", "content": [fetched]},
    ]
    counted = Sources()
    assert [each.citation(0, 1)["document_index"] for each in counted.of(messages, {})] == [1, 2]
    assert [each.citation(0, 1)["document_index"] for each in counted.of(document("d"), {})] == [3]
