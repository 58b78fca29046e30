"""The text of a document while it is being read: clean, within its limits, with the spans of its pages."""

from __future__ import annotations

import re
import unicodedata

from llama_stack.providers._shared.parsing.wire import Answer, Limits, Value

BETWEEN = "\n\n"
METADATA_CHARS_MAX = 2000
METADATA_KEYS_MAX = 64
_SURROGATES = re.compile("[\ud800-\udfff]")
_SPACES = re.compile(r"[ \t\u00a0]+")
_EMPTY_LINES = re.compile(r"\n{3,}")


class Refused(Exception):
    """This file cannot be read; `message` says to its owner why."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Unsupported(Refused):
    """It is of a type that cannot be read."""


class Draft:
    """Blocks of text with an empty line between them. A block may be the text of a page."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._parts: list[str] = []
        self._length = 0
        self._pages: list[tuple[int, int, int]] = []
        self._metadata: dict[str, Value] = {}
        self.chars_max = limits.text_chars_max

    @property
    def is_empty(self) -> bool:
        return not self._parts

    def add(self, text: str, page: int | None = None) -> None:
        """Append a block as it is, but for `normalized`. An empty one leaves no trace."""
        self._check(len(text))
        text = normalized(text)
        if not text:
            return
        separator = BETWEEN if self._parts else ""
        self._check(len(separator) + len(text))
        start = self._length + len(separator)
        self._parts += (separator, text) if separator else (text,)
        self._length = start + len(text)
        if page is not None:
            self._pages.append((page, start, self._length))

    def check_pages(self, count: int) -> None:
        if count > self._limits.pages_max:
            raise Refused(
                f"It has {count} pages, and {self._limits.pages_max} can be read; pages_max of the file processor "
                "raises that limit."
            )

    def note(self, name: str, value: object) -> None:
        """Something that the file says of itself; what is empty is left out."""
        if isinstance(value, str):
            value = normalized(value).strip()[:METADATA_CHARS_MAX]
        if isinstance(value, (str, int, float, bool)) and value != "" and len(self._metadata) < METADATA_KEYS_MAX:
            self._metadata[name] = value

    def finish(self, media_type: str, parser: str) -> tuple[Answer, str]:
        answer = Answer("parsed", "", media_type, parser, self._pages, self._metadata)
        return answer, "".join(self._parts)

    def _check(self, more: int) -> None:
        if self._length + more > self.chars_max:
            raise too_long(self.chars_max)


def too_long(chars_max: int) -> Refused:
    return Refused(
        f"Its text is longer than {chars_max} characters; text_chars_max of the file processor raises that limit."
    )


def normalized(text: str) -> str:
    """Unicode in its composed form (NFC), lines that end with a line feed, no NUL, nothing that UTF-8 cannot hold."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        text = text.replace("\0", "")
    if text.isascii():
        return text
    text = _SURROGATES.sub("\ufffd", text)
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


def tidied(text: str) -> str:
    """Runs of spaces and of empty lines reduced to one."""
    lines = (_SPACES.sub(" ", line).strip() for line in normalized(text).split("\n"))
    return _EMPTY_LINES.sub(BETWEEN, "\n".join(lines)).strip()
