"""Events that come in many pieces: what they cost grows with their size, not with its square."""

from __future__ import annotations

import time

import pytest

from llama_stack.dialects.openai.sse import EventSplitter
from llama_stack.providers._shared.translated_stream import JsonLines

PIECE = b"x" * 500
SECONDS = 10.0
"""A tenth of one suffices; looking at everything again for each piece takes minutes."""


def test_a_large_event() -> None:
    splitter, begun = EventSplitter(), time.process_time()
    for _ in range(20_000):
        assert splitter.feed(PIECE) == b""
    assert len(splitter.feed(b"\n\n")) == 20_000 * len(PIECE) + 2
    with pytest.raises(ValueError, match="larger than"):
        splitter.feed(PIECE * 40_000)
    assert time.process_time() - begun < SECONDS


def test_a_large_line() -> None:
    reader, begun = JsonLines(), time.process_time()
    for piece in (b'{"a": "', *[PIECE] * 10_000):
        assert list(reader.feed(piece)) == []
    (found,) = reader.feed(b'"}\n')
    assert len(found["a"]) == 10_000 * len(PIECE)
    assert time.process_time() - begun < SECONDS


def test_ends_of_lines_and_events_wherever_they_are_cut() -> None:
    said = b"data: a\r\n\r\ndata: b\r\rdata: c\n\ndata: d"
    whole = EventSplitter()
    wanted = whole.feed(said) + whole.finish()
    for size in range(1, len(said)):
        splitter = EventSplitter()
        pieces = [splitter.feed(said[at : at + size]) for at in range(0, len(said), size)]
        assert b"".join(pieces) + splitter.finish() == wanted
