"""A document's text into chunks: exact slices of it, that overlap, and end at the best border near their full size.

Everything is said in tokens of `rag.tokens`. A chunk ends where a paragraph does in the last half of what is new in it,
or else a sentence, or else the last word that fits. The next one begins where, in the first half of the overlap, a
paragraph does, or a sentence, or a word. What has none of these is cut elsewhere, between characters as readers see
them.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from llama_stack.rag.tokens import Token, tokens_of
from llama_stack_api.ports.file_processors import Page, ParsedFile

_PARAGRAPH: Final = re.compile(r"\n[^\S\n]*\n\s*")
_SENTENCE: Final = re.compile(
    r"[.!?…][\"'”’»)\]]{0,4}\s+|[。！？｡؟۔।॥]\s*|\n\s*"  # noqa: RUF001 — they end sentences
)
_INSIDE_WORD: Final = re.compile(r"(?<=\w)(?=\w)(?![\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u9fff])")
_BORDER_TOKENS: Final = 7
"""Tokens of a border, at most: a full stop, brackets and quotation marks, white space."""
_WORD_TOKENS: Final = 64
"""Tokens that are looked at for the border of a word; longer ones are cut."""
_JOINED_MAX: Final = 32
"""Tokens that are looked at for the end of one visible character; beyond that it is cut."""


@dataclass(frozen=True, slots=True)
class ChunkSizes:
    """In tokens: `max_tokens` is at least 2, and `overlap` less than that."""

    max_tokens: int
    overlap: int

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < self.max_tokens or self.max_tokens < 2:
            raise ValueError(f"no chunks of {self.max_tokens} tokens that overlap by {self.overlap}")


@dataclass(frozen=True, slots=True)
class TextChunk:
    """`text` is `document[start:end]`, without white space at its ends; `page` the one on which it starts, if there are
    pages, and `next_pages` those that begin within it, each with where it begins in the document. `tokens` is what
    `count_tokens(text)` says or a little more, and at most the size asked for."""

    text: str
    start: int
    end: int
    page: int | None
    tokens: int
    next_pages: tuple[tuple[int, int], ...] = ()


def chunks_of(parsed: ParsedFile, sizes: ChunkSizes) -> Iterator[TextChunk]:
    """In their order, and the same each time. Takes memory for one chunk, and time in proportion to the text.

    Every character that is not white space is in a chunk.
    """
    pages = _Pages(parsed.pages)
    window = _Window(parsed.text, sizes)
    while (span := window.take()) is not None:
        text, page, further = (
            parsed.text[span.start : span.end],
            pages.at(span.start),
            pages.within(span.start, span.end),
        )
        yield TextChunk(text, span.start, span.end, page, span.weight, further)


class _Window:
    """The tokens of the next chunk, from its start to the first that does not fit."""

    def __init__(self, text: str, sizes: ChunkSizes) -> None:
        self._text = text
        self._sizes = sizes
        self._coming = tokens_of(text)
        self._tokens: list[Token] = []
        self._covered = 0
        """Where the chunks so far end."""

    def take(self) -> Token | None:
        """The next chunk as one long token; None after the last one."""
        while True:
            self._tokens = self._tokens[self._next_visible(0) :]
            fitting = self._fill()
            if not self._tokens:
                return None
            fresh = self._next_visible(bisect_left(self._tokens, self._covered, key=lambda token: token.start))
            if fresh < fitting:
                break
            # Nothing new fits beside the overlap: a long white space, or nothing at all, comes after it.
            self._tokens = self._tokens[fresh:]
        end = fitting if fitting == len(self._tokens) else self._best_end(fresh, fitting)
        chunk = self._tokens[: self._last_visible(end) + 1]
        self._covered = chunk[-1].end
        self._tokens = self._tokens[self._best_start(end) :]
        return Token(chunk[0].start, chunk[-1].end, _total(chunk))

    def _fill(self) -> int:
        """Get tokens until one does not fit; how many do."""
        total = _total(self._tokens)
        while total <= self._sizes.max_tokens and (token := next(self._coming, None)) is not None:
            if self._tokens or not self._is_space(token):
                self._tokens.append(token)
                total += token.weight
        return bisect_right(list(accumulate(token.weight for token in self._tokens)), self._sizes.max_tokens)

    def _best_end(self, fresh: int, fitting: int) -> int:
        """Which of the tokens is the first after the chunk."""
        first = fresh + (fitting - fresh) // 2 + 1
        following = self._tokens[fitting]
        stop = following.end if self._is_space(following) else following.start
        for border in (_PARAGRAPH, _SENTENCE):
            ends = [found.end() for found in border.finditer(self._text, self._before(first), stop)]
            if ends and (index := min(self._at(ends[-1]), fitting)) >= first:
                return index
        return self._cut(range(fitting, first - 1, -1)) or fitting

    def _best_start(self, end: int) -> int:
        """Which of the tokens is the first of the next chunk."""
        if end == len(self._tokens):
            return end
        room = self._sizes.overlap
        behind = list(accumulate(token.weight for token in reversed(self._tokens[1:end])))
        earliest = end - bisect_right(behind, room)
        latest = (earliest + end) // 2
        if earliest == end:
            return end
        for border in (_PARAGRAPH, _SENTENCE):
            for found in border.finditer(self._text, self._before(earliest), self._tokens[latest].start):
                if (index := self._at(found.end())) >= earliest:
                    return index
        return self._cut(range(earliest, latest + 1)) or end

    def _cut(self, candidates: range) -> int | None:
        """The first before which a word, or at least a visible character, begins."""
        for index in candidates[:_WORD_TOKENS]:
            start = self._tokens[index].start
            if _INSIDE_WORD.match(self._text, start) is None and not _is_joined(self._text, start):
                return index
        for index in candidates[:_JOINED_MAX]:
            if not _is_joined(self._text, self._tokens[index].start):
                return index
        return None

    def _before(self, index: int) -> int:
        """From where a border that ends at a token is looked for."""
        return self._tokens[max(index - _BORDER_TOKENS, 0)].start

    def _at(self, position: int) -> int:
        """The first token that starts there or later."""
        return bisect_left(self._tokens, position, key=lambda token: token.start)

    def _next_visible(self, index: int) -> int:
        while index < len(self._tokens) and self._is_space(self._tokens[index]):
            index += 1
        return index

    def _last_visible(self, end: int) -> int:
        index = end - 1
        while self._is_space(self._tokens[index]):
            index -= 1
        return index

    def _is_space(self, token: Token) -> bool:
        return self._text[token.start].isspace()


class _Pages:
    def __init__(self, pages: Sequence[Page]) -> None:
        self._starts = [page.start for page in pages]
        self._pages = pages

    def at(self, position: int) -> int | None:
        """The page of a position; between two pages, the earlier one."""
        index = bisect_right(self._starts, position) - 1
        return self._pages[max(index, 0)].number if self._pages else None

    def within(self, start: int, end: int) -> tuple[tuple[int, int], ...]:
        first = max(bisect_right(self._starts, start), 1)
        return tuple((page.number, page.start) for page in self._pages[first : bisect_left(self._starts, end)])


def _total(tokens: Iterable[Token]) -> int:
    return sum(token.weight for token in tokens)


def _is_joined(text: str, position: int) -> bool:
    """Whether what stands there is seen as one character with what stands before."""
    after, before = text[position], text[position - 1]
    if after.isascii():
        return before == "\u200d"
    if "\U0001f1e6" <= after <= "\U0001f1ff":  # flags are pairs of these letters
        start = position
        while start > 0 and position - start < _JOINED_MAX and "\U0001f1e6" <= text[start - 1] <= "\U0001f1ff":
            start -= 1
        return (position - start) % 2 == 1
    is_skin = "\U0001f3fb" <= after <= "\U0001f3ff"
    return is_skin or "\u200d" in (after, before) or unicodedata.category(after).startswith("M")
