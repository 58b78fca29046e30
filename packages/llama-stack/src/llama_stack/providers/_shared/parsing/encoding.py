"""Bytes to text: by the byte order mark, by what the document declares, as UTF-8, else by the looks of it."""

from __future__ import annotations

import codecs
import re

SAMPLE_BYTES = 64 * 1024
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]{2,40})""", re.IGNORECASE)
_NOT_OF_FILES = frozenset({"idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape", "utf-7"})
"""Python knows these as encodings of text, but no document is written in them."""
_CONTROLS = frozenset(range(32)) - frozenset(b"\t\n\r\f\b\x1b")
_CONTROL_SHARE_MAX = 0.02
_CONTROLS_MAX = 2
"""That many a text may have, however short it is."""


def encoding_of(data: bytes, content_type: str = "", *, markup: bool = False) -> tuple[str, int]:
    """The name of the encoding, and how many bytes its mark takes. `markup` declares its encoding itself."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name, len(mark)
    if (wide := _wide(data)) is not None:
        return wide, 0
    if is_utf8(data):
        return "utf-8", 0
    declared = [content_type.encode(), data[:2048]] if markup else [content_type.encode()]
    for place in declared:
        found = _DECLARED.search(place)
        if found is not None and (known := _known(found[1].decode("ascii", "replace"))) is not None:
            return known, 0
    return _guessed(data), 0


def decoded(data: bytes, content_type: str = "", *, markup: bool = False) -> str:
    """What does not fit the encoding becomes U+FFFD."""
    name, mark = encoding_of(data, content_type, markup=markup)
    return data[mark:].decode(name, "replace")


def is_binary(head: bytes) -> bool:
    """Whether bytes without a mark or a pattern of wide characters hold more controls than text ever does."""
    if any(head.startswith(mark) for mark, _ in _MARKS) or _wide(head) is not None:
        return False
    controls = sum(byte in _CONTROLS for byte in head)
    return controls > max(_CONTROLS_MAX, len(head) * _CONTROL_SHARE_MAX)


def is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        # A character that is cut at the end of a sample.
        return error.start > len(data) - 4 and error.reason == "unexpected end of data" and error.start > 0
    return True


def _wide(data: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of western text is zero."""
    sample = data[: 4096 - 4096 % 2]
    if len(sample) < 4:
        return None
    pairs = len(sample) // 2
    zeros_even, zeros_odd = sample[0::2].count(0), sample[1::2].count(0)
    if zeros_odd > pairs * 0.6 and zeros_even < pairs * 0.05:
        return "utf-16-le"
    if zeros_even > pairs * 0.6 and zeros_odd < pairs * 0.05:
        return "utf-16-be"
    return None


def _known(name: str) -> str | None:
    try:
        found = codecs.lookup(name)
    except LookupError:
        return None
    of_text: bool = getattr(found, "_is_text_encoding", True)
    return found.name if of_text and found.name not in _NOT_OF_FILES and found.name != "utf-8" else None


def _guessed(data: bytes) -> str:
    """Deterministic; without the library, or where it has no idea, the encoding of western Windows."""
    try:
        from charset_normalizer import from_bytes
    except ImportError:
        return "cp1252"
    best = from_bytes(data[:SAMPLE_BYTES]).best()
    return best.encoding if best is not None and best.encoding != "ascii" else "cp1252"
