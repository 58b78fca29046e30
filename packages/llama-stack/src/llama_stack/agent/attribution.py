"""Which passage of a file a sentence of an answer rests on, told by the words that they share.

Small models do not write the marks that they are asked for. Their sentences mostly repeat what they read, so a sentence
is attributed to the passage that has most of its words, if it has enough of them. A model that marks what it cites is
taken at its word; then this finds the passage that was meant among those of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from llama_stack.agent.entries import Entry, Source
from llama_stack.rag.words import EMPTY_WORDS, words_of

SHARE_MIN: Final = 0.6
"""Of a sentence's words, those that a passage must have to be cited for it."""
WORDS_MIN: Final = 3
"""With fewer words in a sentence, a passage must have all of them."""

PLACE: Final = ("chunk_id", "page", "start", "end")
"""What a result of a file search says of where its passage is; an annotation says the same."""

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

    def passage_at(self, text: str, index: int, file_id: str) -> Passage | None:
        """The passage of a file that a mark at `text[index]` means: that which shares most with the sentence there."""
        before = [found for found in _SENTENCE.finditer(text) if found.start() < index]
        words = _meaningful(before[-1][0] if before else "")
        of_file = [each for each in self._passages if each[0].source.file_id == file_id]
        return max(of_file, key=lambda each: len(words & each[1]), default=(None, None))[0]

    def cited(self, text: str) -> Iterator[tuple[int, Passage]]:
        """Passages, each with the index in `text` at which the sentences end that rest on it."""
        last: tuple[int, Passage] | None = None
        for sentence in _SENTENCE.finditer(text):
            passage = self._support(sentence[0])
            if last is not None and last[1] is not passage:
                yield last
                last = None
            if passage is not None:
                last = (sentence.start() + len(sentence[0].rstrip()), passage)
        if last is not None:
            yield last

    def _support(self, sentence: str) -> Passage | None:
        words = _meaningful(sentence)
        if not words:
            return None
        passage, found = max(self._passages, key=lambda each: len(words & each[1]))
        needed = SHARE_MIN if len(words) >= WORDS_MIN else 1.0
        return passage if len(words & found) >= needed * len(words) else None


def _meaningful(text: str) -> set[str]:
    words = (word for word in words_of(text) if word not in EMPTY_WORDS)
    return {word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word for word in words}
