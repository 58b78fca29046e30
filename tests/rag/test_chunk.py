"""Chunks: what they cover, how large they are, where they are cut."""

from __future__ import annotations

import tracemalloc
from itertools import islice, pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llama_stack.rag.chunk import ChunkSizes, TextChunk, chunks_of
from llama_stack.rag.tokens import count_tokens
from llama_stack_api.ports.file_processors import Page, ParsedFile

PIECES = [
    "word",
    "longerwordthanothers",
    ". ",
    "\n\n",
    "\n",
    " ",
    "日本語",
    "。",
    "e\u0301",
    "👩‍👧",
    "🇩🇪🇫🇷",
    "12.5",
    "\t\t",
    "-" * 9,
]
TEXT = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=120).map("".join)
SIZES = st.tuples(st.integers(2, 40), st.integers(0, 39)).map(lambda pair: ChunkSizes(pair[0], pair[1] % pair[0]))


def parsed(text: str, pages: tuple[Page, ...] = ()) -> ParsedFile:
    return ParsedFile(text, "text/plain", "test", pages)


def cut(text: str, max_tokens: int, overlap: int = 0) -> list[str]:
    return [chunk.text for chunk in chunks_of(parsed(text), ChunkSizes(max_tokens, overlap))]


@given(TEXT, SIZES)
@example("a " * 50 + " " * 400 + "b", ChunkSizes(5, 4))
@example("\U0001f600" * 9, ChunkSizes(3, 2))
def test_chunks_cover_the_text_in_order(text: str, sizes: ChunkSizes) -> None:
    chunks = list(chunks_of(parsed(text), sizes))
    covered: set[int] = set()
    for chunk in chunks:
        assert chunk.text == text[chunk.start : chunk.end]
        assert chunk.text == chunk.text.strip() != ""
        assert count_tokens(chunk.text) <= chunk.tokens <= sizes.max_tokens
        covered.update(range(chunk.start, chunk.end))
    assert all(text[at].isspace() for at in set(range(len(text))) - covered)
    for one, other in pairwise(chunks):
        assert one.start < other.start
        assert one.end < other.end
        assert count_tokens(text[other.start : one.end]) <= sizes.overlap
    assert chunks == list(chunks_of(parsed(text), sizes))


def test_a_short_text_is_one_chunk() -> None:
    assert list(chunks_of(parsed("  Hello there. \n"), ChunkSizes(10, 5))) == [
        TextChunk("Hello there.", 2, 14, None, 3)
    ]
    assert cut(" \n\n ", 10) == []
    assert cut("", 10) == []


def test_paragraphs_are_kept_together() -> None:
    text = "One two three. Four five six.\n\nSeven eight nine. Ten eleven twelve."
    assert cut(text, 12) == ["One two three. Four five six.", "Seven eight nine. Ten eleven twelve."]


def test_sentences_are_kept_together_where_no_paragraph_ends() -> None:
    text = "One two three. Four five six. Seven eight nine. Ten eleven."
    assert cut(text, 10) == ["One two three. Four five six.", "Seven eight nine. Ten eleven."]
    assert cut("一二三四。五六七八。九十一二。", 8) == ["一二三四。", "五六七八。", "九十一二。"]


def test_words_are_kept_whole_where_no_sentence_ends() -> None:
    assert cut("alphabetical extraordinary establishment", 5) == ["alphabetical", "extraordinary", "establishment"]


def test_an_overlap_begins_with_a_sentence() -> None:
    text = "One two three. Four five six. Seven eight nine. Ten eleven twelve."
    assert cut(text, 8, 4) == [
        "One two three. Four five six.",
        "Four five six. Seven eight nine.",
        "Seven eight nine. Ten eleven twelve.",
    ]


@pytest.mark.parametrize("character", ["e\u0301\u0323", "👩‍👩‍👧‍👦", "🇩🇪", "👍🏽", "❤️", "ที่"])
def test_visible_characters_are_not_cut(character: str) -> None:
    for chunk in cut(character * 40, 17, 8):
        assert chunk == character * (len(chunk) // len(character))


def test_pages_are_those_where_chunks_start() -> None:
    text = "One two three.\n\nFour five six.\n\nSeven eight."
    pages = (Page(1, 0, 14), Page(2, 16, 30), Page(4, 32, 44))
    found = [(chunk.text, chunk.page) for chunk in chunks_of(parsed(text, pages), ChunkSizes(5, 0))]
    assert found == [("One two three.", 1), ("Four five six.", 2), ("Seven eight.", 4)]


@pytest.mark.parametrize(
    "text",
    ["x" * 3_000_000, "\n" * 3_000_000 + "end", "a\n" * 1_000_000, ". " * 1_000_000, "e" + "\u0301" * 1_000_000],
    ids=["one line", "nothing but lines", "lines", "sentences", "one character"],
)
def test_memory_is_for_one_chunk(text: str) -> None:
    chunks = chunks_of(parsed(text), ChunkSizes(800, 400))
    next(chunks)
    tracemalloc.start()
    assert sum(1 for _ in islice(chunks, 50)) <= 50
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


def test_a_chunk_says_which_pages_begin_within_it() -> None:
    text = "One two three. Four five six. Seven."
    pages = (Page(1, 0, 14), Page(2, 15, 29), Page(3, 30, 36))
    (whole,) = chunks_of(parsed(text, pages), ChunkSizes(100, 0))
    assert (whole.page, whole.next_pages) == (1, ((2, 15), (3, 30)))
    for chunk in chunks_of(parsed(text, pages), ChunkSizes(5, 2)):
        begin = [page for page in pages if chunk.start < page.start < chunk.end]
        assert chunk.next_pages == tuple((page.number, page.start) for page in begin)
    assert all(chunk.next_pages == () for chunk in chunks_of(parsed(text), ChunkSizes(5, 2)))
