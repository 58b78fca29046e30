"""How much of a query the words of a text cover: what they say of relevance, from 0 to 1. Pure.

An embedding knows what a query means, but hardly one code, number or name from the next; words know these, and nothing
else. So words count little where they cover little. A word weighs by how few of the candidates have it, one that none
has the most: a text with the one common word of a question has hardly anything of it. What is covered is raised to the
third power. Words with a digit (`E23`, `4012`) count beside that as if the query had no other words, for a question may
be wrapped around a code in any number of words.

The candidates are what the indexes found, so this means the same whichever engine they are of.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Final

from llama_stack.rag.words import words_of

_POWER: Final = 3


def evidence(words: Collection[str], texts: Mapping[str, str]) -> dict[str, float]:
    """By id. `words` are those of the query."""
    having = {each: _words_in(text, words) for each, text in texts.items()}
    weights = {word: _weight(sum(word in had for had in having.values()), len(texts)) for word in words}
    codes = [word for word in words if any(character.isdigit() for character in word)]
    return {
        each: max(_covered(words, had, weights) ** _POWER, _covered(codes, had, weights))
        for each, had in having.items()
    }


def _weight(texts_with: int, texts: int) -> float:
    return math.log(1 + (texts - texts_with + 0.5) / (texts_with + 0.5))


def _covered(words: Collection[str], had: Collection[str], weights: Mapping[str, float]) -> float:
    whole = sum(weights[word] for word in words)
    return sum(weights[word] for word in words if word in had) / whole if whole else 0.0


def _words_in(text: str, words: Collection[str]) -> set[str]:
    if not text.isascii():
        return set(words).intersection(words_of(text))
    lowered = text.lower()  # most words are not in most texts, which is told without cutting them
    return {word for word in words if word in lowered and re.search(rf"(?<![a-z0-9]){word}(?![a-z0-9])", lowered)}
