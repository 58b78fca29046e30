"""Sentences of a text that comes piece by piece. How it is cut makes no difference to what they are.

A sentence ends at `.`, `!` or `?` before a space, at the full stops of scripts without spaces, and at the end of its
line. The space between two belongs to the second one, so that no sentence is empty to the eye; what the text ends in,
to the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

CHARS_MAX: Final = 2000
"""Of one sentence: a longer one is cut there."""
SHORT: Final = 3
"""So few characters are no sentence yet: the `1.` of a list, or a `Dr.`"""

CLOSING: Final = "\"')]}*_`\u201d\u2019\u00bb\u300d\u300f\uff09\u3011"
"""What may stand behind a full stop and belong to it."""
ENDS: Final = ".!?\u2026"
FULL_ENDS: Final = "\u3002\uff01\uff1f"
_PROLONGING: Final = frozenset(CLOSING + ENDS + FULL_ENDS)


class Sentences:
    """`_start`, `_ink` and `_end` are places in what is held: of its first visible character, behind the last one, and
    where the sentence seems to end; `_ink` and `_end` are 0 as long as there is no such place. `_over`: it does end,
    and whatever is neither a space nor part of its end begins another."""

    def __init__(self) -> None:
        self._held: list[str] = []
        self._start = 0
        self._ink = 0
        self._end = 0
        self._over = False

    def feed(self, text: str) -> Iterator[str]:
        """Those that are known to be whole."""
        for character in text:
            if character.isspace():
                self._space(character)
            elif not self._prolongs_end(character):
                if self._over:
                    yield self._cut(self._end)
                self._write(character)
            if len(self._held) >= CHARS_MAX:
                yield self._cut(len(self._held))

    def finish(self) -> Iterator[str]:
        """The last one."""
        if self._held:
            yield self._cut(len(self._held))

    def _space(self, character: str) -> None:
        if character == "\n" and self._ink:
            self._end = self._end or self._ink
        self._over = self._end > 0
        self._held.append(character)

    def _prolongs_end(self, character: str) -> bool:
        prolongs = self._end == len(self._held) > 0 and character in _PROLONGING
        if prolongs:
            self._held.append(character)
            self._ink = self._end = len(self._held)
        return prolongs

    def _write(self, character: str) -> None:
        if not self._ink:
            self._start = len(self._held)
        self._held.append(character)
        self._ink = len(self._held)
        self._over = character in FULL_ENDS
        ends = self._over or (character in ENDS and self._ink - self._start > SHORT)
        self._end = self._ink if ends else 0

    def _cut(self, place: int) -> str:
        text = "".join(self._held)
        self._reset(text[place:])
        return text[:place]

    def _reset(self, rest: str) -> None:
        """What is left over is spaces."""
        self._held = list(rest)
        self._ink = self._end = 0
        self._over = False
