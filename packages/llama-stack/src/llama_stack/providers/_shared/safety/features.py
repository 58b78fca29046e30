"""Texts as hashed n-grams: of words (1 to 3) and of characters (3 to 5), each a row of a table of weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias
from zlib import crc32

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows: TypeAlias = NDArray[np.int32]
    Hashes: TypeAlias = NDArray[np.uint32]

BUCKET_BITS: Final = 15
BUCKETS: Final = 1 << BUCKET_BITS
WORD_SIZES: Final = (1, 2, 3)
CHARACTER_SIZES: Final = (3, 4, 5)
WORD_VALUE: Final = 1.0
CHARACTER_VALUE: Final = 0.35
"""There are about five times as many n-grams of characters as of words."""
_MULTIPLIER: Final = 0x9E3779B1
_MIXER: Final = 0x85EBCA6B


@dataclass(frozen=True, slots=True)
class Grams:
    """Those of one kind, in the order of the text: entry i is the n-gram that starts at word (or byte) i."""

    rows: Rows
    size: int
    value: float
    by_words: bool


@dataclass(frozen=True, slots=True)
class Text:
    """`starts` are the bytes at which words start, less one for the space before; the last entry is the text's end."""

    grams: list[Grams]
    starts: Rows

    @property
    def words(self) -> int:
        return len(self.starts) - 1


def text_of(normal: str) -> Text:
    """`normal` is what `normalized` gives. Imports numpy."""
    import numpy as np

    encoded = normal.encode("utf-8", "replace")
    letters = np.frombuffer(encoded, np.uint8).astype(np.uint32)
    spaces = np.flatnonzero(letters == ord(" "))
    words = encoded.split()
    starts = spaces[: len(words) + 1].astype(np.int32)
    hashes = np.fromiter(map(crc32, words), np.uint32, len(words))
    grams = [Grams(_rows(hashes, size, salt), size, WORD_VALUE, True) for salt, size in enumerate(WORD_SIZES)]
    for salt, size in enumerate(CHARACTER_SIZES, len(WORD_SIZES)):
        grams.append(Grams(_rows(letters, size, salt), size, CHARACTER_VALUE, False))
    return Text(grams, starts)


def _rows(units: Hashes, size: int, salt: int) -> Rows:
    """The row of every run of `size` units: a polynomial modulo 2**32, mixed so that its upper bits are good."""
    import numpy as np

    count = max(0, len(units) - size + 1)
    hashed = np.full(count, salt + 1, np.uint32)
    for offset in range(size):
        hashed *= np.uint32(_MULTIPLIER)
        hashed += units[offset : offset + count]
    hashed ^= hashed >> np.uint32(16)
    hashed *= np.uint32(_MIXER)
    return (hashed >> np.uint32(32 - BUCKET_BITS)).astype(np.int32)
