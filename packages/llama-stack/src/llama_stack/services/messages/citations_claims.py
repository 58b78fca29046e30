"""Which text of its sources a sentence of the message rests on, by `agent.attribution`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from llama_stack.agent.attribution import Attribution, Passage
from llama_stack.agent.entries import Source
from llama_stack.dialects.chat.values import Json
from llama_stack.services.messages.citations_sources import Citable, Span

CHARS_MAX: Final = 2_000_000
"""Of all sources together, about half a million tokens: what is behind them is not cited."""
PASSAGE_CHARS: Final = 1000
"""A sentence rests on a passage of so many at most, of which the sentence is cited that has most of its words."""
PASSAGES_MAX: Final = 4000
"""Of all sources: sources in very small blocks have more."""
REACH_CHARS: Final = 300
"""How far the ends of the cited sentence are looked for, from the line that has the words."""
AT_ONCE_CHARS: Final = 5_000
"""With more characters of sources, they are looked through in a thread: it takes more than a few milliseconds."""

_LOOK_AHEAD: Final = 50
"""Characters that are seen beyond, to tell whether something is an end."""
_GOOD_CUTS: Final = ("\n\n", ". ", ".\n", "\u3002", "\n", " ")
_MARKER: Final = re.compile(r"\s*(?:[-*#>\u2022]+|\d{1,3}[.)])\s+")
_CLOSED: Final = "[\"')\\]\u201d\u2019\u00bb\u300d\u300f]*"
_NEW_LINE: Final = r"\n(?!\s*[a-z\u00df-\u00ff\u0430-\u044f])"
"""Not within a sentence: one that goes on in the next line goes on in small letters."""
_BEHIND_END: Final = re.compile(f"[.!?]{_CLOSED}\\s+|[\u3002\uff01\uff1f]{_CLOSED}|{_NEW_LINE}")
_END: Final = re.compile(f"[.!?]+{_CLOSED}(?=\\s|\\Z)|[\u3002\uff01\uff1f]+{_CLOSED}|(?={_NEW_LINE})")


class Claims:
    """Making one takes time in proportion to the sources: up to two seconds. `is_slow`: so does asking
    it, up to some milliseconds for a sentence."""

    def __init__(self, sources: Sequence[Citable]) -> None:
        passages = list(islice(_passages(sources), PASSAGES_MAX))
        self._sources = [(source, source.text) for source in sources]
        self._attribution = Attribution(passages) if passages else None
        self.is_slow = sum(len(passage.text) for passage in passages) > AT_ONCE_CHARS

    def citations(self, sentence: str) -> list[Json]:
        """None of a sentence that rests on nothing."""
        found: list[Json] = []
        if self._attribution is None:
            return found
        marker = _MARKER.match(sentence)
        for _, _, place in self._attribution.cited(sentence[marker.end() :] if marker else sentence):
            source, text = self._sources[place["source"]]
            citation = source.citation(*_sentence(text, (place["start"], place["end"]), place["part"]))
            if citation not in found:
                found.append(citation)
        return found


def _passages(sources: Sequence[Citable]) -> Iterator[Passage]:
    left = CHARS_MAX
    for number, source in enumerate(sources):
        text = source.text
        for start, end in source.parts:
            part = (start, min(end, start + left))
            left -= part[1] - part[0]
            for begins, ends in _windows(text, part):
                place = {"source": number, "start": begins, "end": ends, "part": part}
                yield Passage(Source(""), text[begins:ends], place)


def _windows(text: str, part: Span) -> Iterator[Span]:
    start, end = part
    while start < end:
        stop = end if end - start <= PASSAGE_CHARS else _cut(text, start)
        if text[start:stop].strip():
            yield start, stop
        start = stop


def _cut(text: str, start: int) -> int:
    """The end of a passage that begins there: where it hurts least."""
    latest = start + PASSAGE_CHARS
    for cut in _GOOD_CUTS:
        place = text.rfind(cut, latest - PASSAGE_CHARS // 2, latest)
        if place >= 0:
            return place + len(cut)
    return latest


def _sentence(text: str, line: Span, part: Span) -> Span:
    """The sentence around what attribution takes for one: that ends with each line, and before the full stop."""
    start, end = line
    earliest, latest = max(part[0], start - REACH_CHARS), min(part[1], end + REACH_CHARS)
    seen = min(part[1], latest + _LOOK_AHEAD)
    before = [found.end() for found in _BEHIND_END.finditer(text, earliest, seen) if found.end() <= start]
    if before:
        start = before[-1]
    elif earliest == part[0]:
        start = earliest
    after = _END.search(text, end, seen)
    if after is not None and after.end() <= latest:
        end = after.end()
    elif latest == part[1]:
        end = latest
    cited = text[start:end]
    return start + len(cited) - len(cited.lstrip()), start + len(cited.rstrip())
