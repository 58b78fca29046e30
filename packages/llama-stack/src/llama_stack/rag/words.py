"""Words, as full-text search knows them: every engine gets them normalised, and does no more than split at spaces.

Text is compatibility-composed (NFKC) and case-folded; accents, Hebrew and Arabic points go. What is left of letters and
digits in a row is a word, cut at 64 characters. Scripts that put no spaces between words (Chinese, Japanese, Thai, …),
and Korean with its many endings, become pairs of neighbouring characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

WORD_CHARACTERS_MAX: Final = 64
QUERY_WORDS_MAX: Final = 256
"""Distinct words of one query that are searched for."""
_ASCII_WORD: Final = re.compile(r"[a-z0-9]+")

EMPTY_WORDS: Final = frozenset(
    _ASCII_WORD.findall(
        "a an and are as at be but by can do does for from had has have he her his how i if in into is it its me my no "
        "not of on or our she so than that the their them then there these they this to use want was we were what when "
        "which who will with would you your"
    )
)
"""Words of no weight: a query is about the others, and in few and short texts these may be rare by chance."""

_UNSPACED: Final = re.compile(
    # Thai, Lao, Myanmar, Hangul jamo, Khmer, kana and CJK up to Hangul syllables, compatibility ideographs, planes 2, 3
    r"([\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]+)"
)
_JOINERS: Final = frozenset("\u00ad\u200c\u200d\u2060\ufeff")


def words_of(text: str) -> list[str]:
    """In their order, each as often as it stands there. Joined by spaces, they have the same words again."""
    if text.isascii():
        return [word[:WORD_CHARACTERS_MAX] for word in _ASCII_WORD.findall(text.lower())]
    kept = _kept(unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold()))
    return [word[:WORD_CHARACTERS_MAX] for run in unicodedata.normalize("NFKC", kept).split() for word in _cut(run)]


def indexed_words(text: str) -> str:
    """What stands in the index for a text: its words with single spaces between them."""
    return " ".join(words_of(text))


def query_words(text: str) -> tuple[str, ...]:
    """What a query looks for: each of its words once, in their order, without empty ones if there are others."""
    words = tuple(dict.fromkeys(words_of(text)))
    telling = tuple(word for word in words if word not in EMPTY_WORDS)
    return (telling or words)[:QUERY_WORDS_MAX]


def _kept(text: str) -> str:
    """Letters, digits and the marks that are part of them; spaces for the rest."""
    return text.translate({ord(character): _replacement(character) for character in set(text)})


def _replacement(character: str) -> str | None:
    if character.isalnum():
        return character
    if character in _JOINERS:
        return None
    category = unicodedata.category(character)
    if category == "Me" or (category == "Mn" and _is_accent(character)):
        return None
    return character if category.startswith("M") else " "


def _is_accent(mark: str) -> bool:
    """Whether a word is the same word without it: so it is of European, Hebrew and Arabic marks. Those of Indic and
    other scripts are vowels and tones. Variation selectors choose a look."""
    place = unicodedata.combining(mark)
    return place == 1 or 10 <= place <= 36 or place >= 200 or unicodedata.name(mark, "").startswith("VARIATION SEL")


def _cut(run: str) -> Iterator[str]:
    """A run of letters, digits and marks into words; what precedes its first letter or digit belongs to nothing."""
    for number, part in enumerate(_UNSPACED.split(run)):
        characters = _characters(part)
        if number % 2 and len(characters) > 1:
            yield from map("".join, pairwise(characters))
        elif characters:
            yield "".join(characters)


def _characters(part: str) -> list[str]:
    """With their marks."""
    found: list[str] = []
    for character in part:
        if character.isalnum():
            found.append(character)
        elif found:
            found[-1] += character
    return found
