"""RTF: its text, by a walk over control words and groups; pictures, fonts and styles are passed over."""

from __future__ import annotations

import codecs
import re
from typing import Final

from llama_stack.providers._shared.parsing.draft import Draft, too_long
from llama_stack.providers._shared.parsing.kinds import RTF
from llama_stack.providers._shared.parsing.source import Source
from llama_stack.providers._shared.parsing.wire import Answer

_TOKEN: Final = re.compile(
    r"\\(?P<word>[A-Za-z]{1,32})(?P<number>-?\d{1,10})?[ ]?|\\'(?P<byte>[0-9a-fA-F]{2})|\\(?P<symbol>[^A-Za-z])"
    r"|(?P<brace>[{}])|(?P<line>[\r\n]+)|(?P<text>[^\\{}\r\n]+)"
)
_UNSEEN: Final = frozenset(
    {
        *("fonttbl", "colortbl", "stylesheet", "info", "pict", "object", "filetbl", "revtbl", "fldinst", "generator"),
        *("header", "headerl", "headerr", "headerf", "footer", "footerl", "footerr", "footerf", "themedata"),
        *("colorschememapping", "datastore", "listtable", "listoverridetable", "rsidtbl", "xmlnstbl", "latentstyles"),
    }
)
_WRITTEN: Final = {
    "par": "\n",
    "line": "\n",
    "sect": "\n",
    "page": "\n",
    "row": "\n",
    "cell": " | ",
    "tab": "\t",
    "emdash": "\u2014",
    "endash": "\u2013",
    "bullet": "\u2022",
    "lquote": "\u2018",
    "rquote": "\u2019",
    "ldblquote": "\u201c",
    "rdblquote": "\u201d",
}


class _Walk:
    """A group inherits whether it is seen, and how many bytes follow a character for readers without Unicode."""

    def __init__(self, chars_max: int) -> None:
        self._chars_max = chars_max
        self._length = 0
        self._groups: list[tuple[bool, int]] = []
        self._seen, self._skip_per_char = True, 1
        self._codepage = "cp1252"
        self._skip = 0
        self._bytes = bytearray()
        self.out: list[str] = []

    def take(self, token: re.Match[str]) -> None:
        if token["byte"] is not None:
            self._take_byte(int(token["byte"], 16))
            return
        self._flush()
        if token["brace"] == "{":
            self._groups.append((self._seen, self._skip_per_char))
        elif token["brace"] == "}":
            self._seen, self._skip_per_char = self._groups.pop() if self._groups else (True, 1)
            self._skip = 0
        elif token["word"] is not None:
            self._word(token["word"], token["number"])
        elif token["symbol"] is not None:
            self._symbol(token["symbol"])
        elif token["text"] is not None:
            text = token["text"]
            skipped = min(self._skip, len(text))
            self._skip -= skipped
            self._write(text[skipped:])

    def finish(self) -> str:
        self._flush()
        return "".join(self.out)

    def _take_byte(self, byte: int) -> None:
        if self._skip:
            self._skip -= 1
        elif self._seen:
            self._bytes.append(byte)

    def _flush(self) -> None:
        if self._bytes:
            text = self._bytes.decode(self._codepage, "replace")
            self._bytes.clear()
            self._write(text)

    def _word(self, word: str, number: str | None) -> None:
        if word in _UNSEEN:
            self._seen = False
        elif word in _WRITTEN:
            self._write(_WRITTEN[word])
        elif word == "u" and number is not None:
            self._write(chr(int(number) % 0x10000))
            self._skip = self._skip_per_char
        elif word == "uc" and number is not None:
            self._skip_per_char = max(0, min(int(number), 16))
        elif word == "ansicpg" and number is not None:
            self._codepage = _codepage(number)

    def _symbol(self, symbol: str) -> None:
        if symbol == "*":
            self._seen = False  # a destination that readers may pass over
        elif symbol == "~":
            self._write("\u00a0")
        elif symbol in "\\{}":
            self._write(symbol)
        elif symbol in "\r\n":
            self._write("\n")

    def _write(self, text: str) -> None:
        if self._seen and text:
            self._length += len(text)
            if self._length > self._chars_max:
                raise too_long(self._chars_max)
            self.out.append(text)


def _codepage(number: str) -> str:
    try:
        return codecs.lookup(f"cp{number}").name
    except LookupError:
        return "cp1252"


def read(source: Source) -> tuple[Answer, str]:
    draft = Draft(source.limits)
    walk = _Walk(draft.chars_max)
    for token in _TOKEN.finditer(source.read().decode("latin-1")):
        walk.take(token)
    text = walk.finish().encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    draft.add("\n".join(line.rstrip(" |\t") for line in text.split("\n")).strip())
    return draft.finish(RTF, "rtf")
