"""Which passage of a file a sentence of an answer rests on, told by the words that they share.

Small models do not write the marks that they are asked for. Their sentences mostly repeat what they read, so a sentence
is attributed to the passage that has most of its words, if it has enough of them. A model that marks what it cites is
taken at its word; then this finds the passage that was meant among those of the file. Either way the citation leads to
the sentence of the passage that has most of the words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from llama_stack.agent.entries import Entry, Source
from llama_stack.rag.words import EMPTY_WORDS, words_of

SHARE_MIN: Final = 0.6
"""Of a sentence's words, those that a passage must have to be cited for it."""
WORDS_MIN: Final = 3
"""With fewer words in a sentence, a passage must have all of them."""

PLACE: Final = ("chunk_id", "page", "start", "end", "next_pages")
"""What a result of a file search says of where its passage is; an annotation says it of one sentence, which is on one
page."""

Place: TypeAlias = dict[str, Any]

_SENTENCE: Final = re.compile("(?:[^.!?\\n\u3002\uff01\uff1f]|[.!?](?=\\S))+")


@dataclass(frozen=True, slots=True)
class Passage:
    source: Source
    text: str
    place: Mapping[str, Any] = field(default_factory=dict)


def passages_of(entries: Sequence[Entry]) -> list[Passage]:
    """Those of all file searches that may be cited, the best of each first."""
    return [
        Passage(source, result.get("text") or "", {name: result[name] for name in PLACE if name in result})
        for entry in entries
        if entry.item.get("type") == "file_search_call"
        for source, result in zip(entry.sources, entry.item.get("results") or (), strict=False)
    ]


class Attribution:
    def __init__(self, passages: Sequence[Passage]) -> None:
        self._passages = [(passage, _meaningful(passage.text)) for passage in passages]

    def meant_at(self, text: str, index: int, file_id: str) -> Place:
        """Where in a file a mark at `text[index]` leads: to what shares most with the sentence there."""
        before = [found for found in _SENTENCE.finditer(text) if found.start() < index]
        words = _meaningful(before[-1][0] if before else "")
        of_file = [each for each in self._passages if each[0].source.file_id == file_id]
        if not of_file:
            return {}
        return _place(max(of_file, key=lambda each: len(words & each[1]))[0], words)

    def cited(self, text: str) -> Iterator[tuple[int, Source, Place]]:
        """Sources, each with the index in `text` at which the sentences end that rest on one passage of it."""
        last: tuple[int, Passage, set[str]] | None = None
        for sentence in _SENTENCE.finditer(text):
            words = _meaningful(sentence[0])
            passage = self._support(words)
            if last is not None and last[1] is not passage:
                yield last[0], last[1].source, _place(last[1], last[2])
                last = None
            if passage is not None:
                last = (sentence.start() + len(sentence[0].rstrip()), passage, words | (last[2] if last else set()))
        if last is not None:
            yield last[0], last[1].source, _place(last[1], last[2])

    def _support(self, words: set[str]) -> Passage | None:
        if not words:
            return None
        passage, found = max(self._passages, key=lambda each: len(words & each[1]))
        needed = SHARE_MIN if len(words) >= WORDS_MIN else 1.0
        return passage if len(words & found) >= needed * len(words) else None


def _place(passage: Passage, words: set[str]) -> Place:
    """Of the first sentence of the passage that has most of `words`."""
    place = {name: value for name, value in passage.place.items() if name != "next_pages"}
    sentences = list(_SENTENCE.finditer(passage.text))
    if "start" not in place or not words or not sentences:
        return place
    best = max(sentences, key=lambda sentence: len(words & _meaningful(sentence[0])))
    start = place["start"] + best.start() + len(best[0]) - len(best[0].lstrip())
    place |= {"start": start, "end": place["start"] + best.end()}
    for page, begins in passage.place.get("next_pages", ()):
        if begins <= start:
            place["page"] = page
    return place


def _meaningful(text: str) -> set[str]:
    words = (word for word in words_of(text) if word not in EMPTY_WORDS)
    return {word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word for word in words}
