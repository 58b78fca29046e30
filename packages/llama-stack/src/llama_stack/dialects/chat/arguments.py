"""The arguments of a call: text that should be one JSON object, of which models make mistakes.

Clients parse the pieces of a stream as they come, so what is passed on is always the beginning of an object: line ends
in strings and unknown escapes are escaped, bare words are strings, and what breaks the syntax is kept as a string. Text
that does not begin like an object is held to its end, and then made one. A whole text is read by the same rules.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from llama_stack.dialects.chat.values import Json, as_json, json_object
from llama_stack.dialects.openai.errors import UNREADABLE

KEPT: Final = "arguments"
"""The member that holds what is no part of an object."""

_SPACES: Final = " \t\r\n"
_PLAIN: Final = re.compile(r'[^"\\\x00-\x1f]+')
"""Most of most strings: files that are written."""

_HEX: Final = frozenset("0123456789abcdefABCDEF")


def tool_input(arguments: Any) -> Json:
    """The arguments as the object that Anthropic's clients need. A string that holds an object is opened, nothing is no
    arguments, a broken object is mended, and all else is kept as text."""
    if isinstance(arguments, dict):
        return arguments
    text = arguments if isinstance(arguments, str) else "" if arguments is None else as_json(arguments)
    text = text.lstrip()
    found = json_object(text)
    if found is not None:
        return found
    if text.startswith("{"):
        mending = StreamedArguments()
        found = json_object(mending.feed(text) + mending.finish())
    else:
        found = _no_object(text)
    return {KEPT: text} if found is None else found


def _no_object(text: str) -> Json | None:
    if text.strip() in ("", "null"):
        return {}
    try:
        inner = msgspec.json.decode(text)
    except UNREADABLE:
        return None
    return json_object(inner) if isinstance(inner, str) else None


class StreamedArguments:
    """`feed` gives what may be passed on, `finish` the rest. `complete` once the object is whole; what a model writes
    behind it is dropped.

    `_next` is what may come next: a `key` (`first key`: or the end), a `colon`, a `value` (`first value`: or the end),
    `more` (a comma or the end), or nothing that can be read (`broken`). `_text`: what is held, of a word, an escape, or
    behind the break. A comma is passed on with what follows it, for it may be one too many.
    """

    def __init__(self) -> None:
        self.complete = False
        self._next = ""
        self._closers: list[str] = []
        self._out: list[str] = []
        self._text = ""
        self._comma = ""
        self._in: str | None = None
        self._is_key = False

    def feed(self, piece: str) -> str:
        if not self._next:
            piece = (self._text + piece).lstrip()
            if not piece.startswith("{"):
                self._text = piece
                return ""
            self._text, piece = "", piece[1:]
            self._open("}", "first key")
        at = 0
        while at < len(piece) and not self.complete:
            plain = _PLAIN.match(piece, at) if self._in == "string" and not self._text else None
            if plain is not None:
                self._out.append(plain.group())
                at = plain.end()
            else:
                self._take(piece[at])
                at += 1
        return self._taken()

    def finish(self) -> str:
        """What makes the object whole."""
        if not self._next:
            return as_json(tool_input(self._text)) if self._text else ""
        if self.complete:
            return ""
        if self._in == "string":
            self._end_string()
        elif self._in == "word":
            self._end_word()
        self._out.append(self._missing())
        self._out += reversed(self._closers)
        return self._taken()

    def _missing(self) -> str:
        """The value that a key lacks, and what is behind a break."""
        broken = self._next.startswith("broken ")
        expected, rest = self._next.removeprefix("broken "), as_json(self._text)
        if expected == "colon":
            return f":{rest if broken else 'null'}"
        if not broken:
            return "null" if expected == "value" and not self._comma else ""
        comma = self._comma or ("," if expected == "more" else "")
        named = self._closers[-1] == "}" and expected not in ("value", "first value")
        return f"{comma}{as_json(KEPT)}:{rest}" if named else f"{comma}{rest}"

    def _take(self, character: str) -> None:
        if self._in == "string":
            self._take_in_string(character)
        elif self._in == "word":
            if character not in " \t\r\n,]}:":
                self._text += character
                return
            self._end_word()
            self._take(character)
        elif self._next.startswith("broken"):
            self._text += character
        elif character in _SPACES:
            self._space(character)
        elif not self._structure(character):
            self._next, self._text = f"broken {self._next}", character

    def _space(self, character: str) -> None:
        if self._comma:
            self._comma += character
        else:
            self._out.append(character)

    def _structure(self, character: str) -> bool:
        """Whether the character may come here; then it is taken."""
        wants_value = self._next.endswith("value")
        if character == self._closers[-1] and self._may_end():
            self._close()
        elif character == "," and self._next == "more":
            self._comma, self._next = ",", "key" if self._closers[-1] == "}" else "value"
        elif character == ":" and self._next == "colon":
            self._out.append(":")
            self._next = "value"
        elif character == '"' and (wants_value or self._next.endswith("key")):
            self._is_key = not wants_value
            self._in = "string"
            self._put(character)
        elif character in "{[" and wants_value:
            self._open("}" if character == "{" else "]", "first key" if character == "{" else "first value")
        elif wants_value and character not in ",:]}{[":
            self._in, self._text = "word", character
        else:
            return False
        return True

    def _may_end(self) -> bool:
        return self._next not in ("colon", "value") or bool(self._comma)

    def _take_in_string(self, character: str) -> None:
        if self._text:
            self._take_escaped(character)
        elif character == "\\":
            self._text = character
        elif character == '"':
            self._end_string()
        else:
            self._out.append(character if character >= " " else as_json(character)[1:-1])

    def _take_escaped(self, character: str) -> None:
        escape = self._text + character
        is_code = escape[1] == "u"
        if is_code and len(escape) > 2 and character not in _HEX:
            # No code after all: the backslash is meant, and the character is like any other.
            self._out.append("\\" + self._text)
            self._text = ""
            self._take_in_string(character)
        elif is_code and len(escape) < 6:
            self._text = escape
        else:
            self._out.append(escape if is_code or character in '"\\/bfnrt' else "\\\\" + as_json(character)[1:-1])
            self._text = ""

    def _end_string(self) -> None:
        self._out.append('"')
        self._in, self._text = None, ""
        self._next = "colon" if self._is_key else "more"

    def _end_word(self) -> None:
        word, self._text, self._in = self._text, "", None
        try:
            msgspec.json.decode(word)
        except UNREADABLE:
            word = as_json(word)
        self._put(word)
        self._next = "more"

    def _open(self, closer: str, following: str) -> None:
        self._put("{" if closer == "}" else "[")
        self._closers.append(closer)
        self._next = following

    def _close(self) -> None:
        self._out.append(self._closers.pop())
        self._comma, self._next = "", "more"
        self.complete = not self._closers

    def _put(self, text: str) -> None:
        self._out += (self._comma, text)
        self._comma = ""

    def _taken(self) -> str:
        taken = "".join(self._out)
        self._out.clear()
        return taken
