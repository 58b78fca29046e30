"""The text of a custom tool's call, out of the JSON that a chat completion wraps it in: `{"input": "…"}`."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from llama_stack.dialects.openai.errors import UNREADABLE

INPUT: Final = "input"
"""The one parameter of the function that stands for a custom tool."""

_BEGIN: Final = re.compile(r'\s*\{\s*"input"\s*:\s*"')
_BEGINNING: Final = re.compile(r'\s*(?:\{\s*(?:"(?:i(?:n(?:p(?:u(?:t(?:"\s*(?::\s*)?)?)?)?)?)?)?)?)?')
"""What may yet become that."""

_PIECE: Final = re.compile(
    r'[^"\\]+'
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|\\u[0-9a-fA-F]{4}"
    r"|\\u(?=[0-9a-fA-F]{0,3}[^0-9a-fA-F])"
    r"|\\[^u]",
    re.DOTALL,
)
_HIGH: Final = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}")
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_UNIT_CHARS: Final = 6


class InputReader:
    """Reads the text while its JSON is written. It is lenient: a raw line break in the string is one,
    and so is `\\u` without digits.

    `begun` says whether the string has begun; if it never does, the arguments are not of that form.
    """

    def __init__(self) -> None:
        self.begun = False
        self._ended = False
        self._rest = ""

    def feed(self, piece: str) -> str:
        """The text that is certain by now."""
        if self._ended:
            return ""
        self._rest += piece
        if not self.begun and not self._begin():
            return ""
        return self._read()

    def _begin(self) -> bool:
        match = _BEGIN.match(self._rest)
        if match is None:
            self._ended = _BEGINNING.fullmatch(self._rest) is None
            return False
        self.begun, self._rest = True, self._rest[match.end() :]
        return True

    def _read(self) -> str:
        text, rest, at = [], self._rest, 0
        while (match := _PIECE.match(rest, at)) is not None:
            piece = match.group()
            if _HIGH.fullmatch(piece) and self._may_be_half(rest, match.end()):
                break
            text.append(_unescaped(piece))
            at = match.end()
        self._ended = rest.startswith('"', at)
        self._rest = rest[at:]
        return "".join(text)

    @staticmethod
    def _may_be_half(rest: str, end: int) -> bool:
        """A high surrogate waits for its low one, as long as that may still come."""
        follows = rest[end : end + _UNIT_CHARS]
        return len(follows) < _UNIT_CHARS and r"\u".startswith(follows[:2])


def _unescaped(piece: str) -> str:
    if piece[0] != "\\":
        return piece
    if piece == r"\u":
        return piece  # as in an unescaped path
    if piece[1] == "u":
        units = [int(unit, 16) for unit in piece.split(r"\u")[1:]]
        return b"".join(unit.to_bytes(2, "little") for unit in units).decode("utf-16-le", errors="replace")
    return _ESCAPES.get(piece[1], piece[1])


def whole_input(arguments: str) -> str:
    """The text of arguments that do not begin as they should: any string in them that can be meant, else all of it."""
    try:
        value: Any = msgspec.json.decode(arguments)
    except UNREADABLE:
        return arguments
    if isinstance(value, dict):
        value = value.get(INPUT, next(iter(value.values()), "") if len(value) <= 1 else value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
