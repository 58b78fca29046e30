"""Ranking of short texts by the words that they share with a query: BM25 over weighted fields."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from llama_stack.rag.words import EMPTY_WORDS

Document: TypeAlias = Sequence[tuple[str, float]]
"""The fields of a document, each with the weight of its words."""

SATURATION: Final = 1.2
LENGTH_SHARE: Final = 0.5
"""How much a long document is held against: less than for prose (0.75), since a tool with many parameters is not less
to the point."""

_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD: Final = re.compile(r"[^\W_]+")


def rank(query: str, documents: Sequence[Document]) -> list[int]:
    """The indices of those documents that share a word with the query, the best first; equals in their order."""
    counts = [_counted(document) for document in documents]
    lengths = [sum(count.values()) for count in counts]
    mean = sum(lengths) / len(lengths) if lengths else 0.0
    rarity = {term: _rarity(sum(term in count for count in counts), len(counts)) for term in set(words(query))}
    scores = [
        sum(weight * _saturated(count[term], length / mean) for term, weight in rarity.items() if term in count)
        for count, length in zip(counts, lengths, strict=True)
    ]
    return sorted((index for index, score in enumerate(scores) if score > 0), key=lambda index: -scores[index])


def words(text: str) -> Iterator[str]:
    """Lower-case words, also of `camelCase` and `snake_case`; plurals count as their singular."""
    for word in _WORD.findall(_HUMP.sub(" ", text)):
        lower = word.lower()
        if lower in EMPTY_WORDS:
            continue
        yield lower[:-1] if len(lower) > 3 and lower.endswith("s") and not lower.endswith("ss") else lower


def _counted(document: Iterable[tuple[str, float]]) -> Mapping[str, float]:
    count: defaultdict[str, float] = defaultdict(float)
    for text, weight in document:
        for word in words(text):
            count[word] += weight
    return dict(count)


def _rarity(having: int, documents: int) -> float:
    return math.log(1 + (documents - having + 0.5) / (having + 0.5))


def _saturated(count: float, length: float) -> float:
    return count * (SATURATION + 1) / (count + SATURATION * (1 - LENGTH_SHARE + LENGTH_SHARE * length))
