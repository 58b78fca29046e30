"""Text as the linear classifier reads it: simple disguises are undone, so that they hide nothing.

Undone are: case, compatibility forms and accents, look-alike letters of other scripts, invisible characters, letters
set apart ("k i l l", "k.i.l.l"), digits and signs for letters ("k1ll", "$tupid") and letters repeated for emphasis.
Training and judging normalise alike, so what is lost in ordinary text is lost in both.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_LOOKALIKES: Final = str.maketrans(
    "авекмнорстухіјѕԁԛԝһɡαβεικνορτυχωıłøđħ",
    "abekmhopctyxijsdqwhgabeiknoptuxwilodh",
)
"""Cyrillic, Greek and other letters, in lower case, that are drawn like a Latin one."""
_LEET: Final = str.maketrans("0134578@$!|", "oieastbasil")
_INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff]"
)
_CHAT_TOKEN: Final = re.compile(
    r"<\|[^|<>\n]{1,40}\|>|\[/?inst\]|<</?sys>>|</?(?:system|assistant|instructions?|important)>"
)
_CHAT_ROLE: Final = re.compile(r"^[ \t#*\[]{0,8}(?:system|assistant|developer)[ \t*\]]{0,4}:", re.MULTILINE)
_URL: Final = re.compile(r"\b(?:https?://|www\.)[^\s<>\"')]{1,2000}")
_SPACED: Final = re.compile(r"(?<![^\W_])(?:[^\W_][ .\-_*]){2,63}[^\W_](?![^\W_])")
_SPACED_SEPARATORS: Final = re.compile(r"[ .\-_*]")
_LEETED: Final = re.compile(r"(?<![0-9a-z@$!|])[a-z]*[0-9@$!|][0-9a-z@$!|]*")
_REPEATED_TWICE: Final = re.compile(r"([bcdefglmnoprstz])\1{2,}")
_REPEATED_ONCE: Final = re.compile(r"([ahijkquvwxy])\1{2,}")
_NUMBER: Final = re.compile(r"[0-9]+")
_APOSTROPHE: Final = re.compile("['\u2019\u02bc`]")
_OTHER: Final = re.compile(r"[\W_]+")


def normalized(text: str) -> str:
    """Words of lower case set apart by single spaces, with one at both ends. Linear in the length of the text."""
    if not text.isascii():
        text = _plain(text)
    text = text.lower()
    text = _CHAT_ROLE.sub(" chatrole ", _CHAT_TOKEN.sub(" chattoken ", text))
    text = _URL.sub(" weburl ", text)
    text = _APOSTROPHE.sub("", text)
    text = _SPACED.sub(_joined, text)
    text = _LEETED.sub(_unleeted, text)
    text = _REPEATED_ONCE.sub(r"\1", _REPEATED_TWICE.sub(r"\1\1", text))
    text = _NUMBER.sub("0", text)
    return f" {_OTHER.sub(' ', text).strip()} "


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKD", _INVISIBLE.sub("", text))
    return "".join(mark for mark in text if not unicodedata.combining(mark)).lower().translate(_LOOKALIKES)


def _joined(found: re.Match[str]) -> str:
    letters = _SPACED_SEPARATORS.sub("", found[0])
    # "1 2 3 4" and "2024-1-1" stay what they are.
    return letters if sum(letter.isalpha() for letter in letters) * 2 > len(letters) else found[0]


def _unleeted(found: re.Match[str]) -> str:
    word = found[0].rstrip("!|")
    return word.translate(_LEET) if any("a" <= letter <= "z" for letter in word) else word
