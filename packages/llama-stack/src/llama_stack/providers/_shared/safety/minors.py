"""Whether a text speaks of minors. With a text that is sexual, that is all that is asked: no model learns it."""

from __future__ import annotations

import re
from typing import Final

from llama_stack.providers._shared.safety.normalize import normalized

_WORDS: Final = re.compile(
    r" (?:child|childs|children|childrens|kid|kids|minor|minors|teen|teens|teenage|teenaged|teenager|teenagers|preteen|"
    r"preteens|underage|underaged|under age|toddler|toddlers|infant|infants|schoolgirl|schoolgirls|schoolboy|"
    r"schoolboys|school girl|school boy|little girl|little boy|young girl|young boy|pupil|pupils|juvenile|juveniles|"
    r"daughter|stepdaughter|son|stepson|loli|lolita|shota|jailbait|kindergartner|kindergarten) "
)
_AGES: Final = re.compile(
    r"\b(?:[1-9]|1[0-7])[ -]?(?:y/?o\b|years?[ -]old\b|yrs?\b)|\b(?:aged?|is|am) (?:[1-9]|1[0-7])\b(?! ?(?:%|[ap]m))"
)


def mentions_minors(text: str) -> bool:
    return _WORDS.search(normalized(text)) is not None or _AGES.search(text.lower()) is not None
