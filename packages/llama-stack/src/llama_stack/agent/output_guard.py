"""A text that comes in pieces, held back until shields have seen it, and released as they leave it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from llama_stack.agent.ports import Violation

_BOUNDARY: Final = re.compile(r"[^\x21-\x7e]")
"""Keys and addresses have none of these in them."""

_AROUND_CHARS: Final = 8
_CUTS_MAX: Final = 8
"""How many places are tried, each farther back than the one before, to part a text between what was redacted in it."""


@dataclass(frozen=True, slots=True)
class Windows:
    """How text is cut for the shields, in characters.

    Output is first checked after `first_chars`, so that a reader waits little, then in windows that double up to
    `chars_max`. Each check sees `overlap_chars` of what came before, for what stands astride two windows; the last
    `margin_chars` that were checked, and the word that begins before them, stay back until the next check, so that
    nothing of it is out before. The last check of an output sees it as a whole, or its last `whole_chars_max`: no more
    is ever held back either.
    """

    first_chars: int = 256
    chars_max: int = 4096
    overlap_chars: int = 512
    whole_chars_max: int = 16_384
    margin_chars: int = 128

    def __post_init__(self) -> None:
        if not 0 < self.first_chars <= self.chars_max:
            raise ValueError("a window has at least one character, and the first is no longer than the others")
        if not 0 <= self.margin_chars <= self.overlap_chars:
            raise ValueError("what stays back is what the next window sees again")
        if self.whole_chars_max < self.chars_max + self.overlap_chars:
            raise ValueError("the last check must see at least a window and its overlap")


class OutputGuard:
    """`check` gives a violation, or what is left of a text. After a violation nothing is released any more.

    A violation that no window shows by itself, only the whole, is found at the end, when earlier windows are out.
    Without `whole`, there is no look at the whole.
    """

    def __init__(
        self, check: Callable[[str], Awaitable[Violation | str]], windows: Windows, *, whole: bool = True
    ) -> None:
        self._check = check
        self._windows = windows
        self._whole = whole
        self._next_chars = windows.first_chars
        self._held = ""
        self._seen = 0
        """How much of what is held was in a check."""
        self._before = ""
        """The end of what was released, as much of it as a check may see."""
        self._checks = 0
        self._violation: Violation | None = None
        self.passed = 0
        """How many characters have been released, as they were before they were redacted."""
        self.redacted = False
        """Whether anything was."""

    async def feed(self, delta: str) -> str | Violation:
        """The text that may be shown now, which mostly is none."""
        self._held += delta
        released = []
        while self._violation is None and len(self._held) - self._seen >= self._next_chars:
            text = self._held[: self._seen + self._windows.chars_max]
            released.append(await self._part(text))
            self._next_chars = min(2 * self._next_chars, self._windows.chars_max)
        return self._violation or "".join(released)

    async def finish(self) -> str | Violation:
        """The rest, after a look at the whole."""
        rest, windows = self._held, self._windows
        self._held = ""
        if self._violation is None and (rest or (self._whole and self._checks > 1)):
            chars = windows.whole_chars_max - len(rest) if self._whole else windows.overlap_chars - self._seen
            rest = self._release(rest, await self._left(rest, chars))
        return self._violation or rest

    async def _part(self, text: str) -> str:
        """What may be released of the beginning of what is held."""
        left = await self._left(text, self._windows.overlap_chars - self._seen)
        cut, released = await self._cut(text, left)
        self._held, self._seen = self._held[cut:], len(text) - cut
        return self._release(text[:cut], released)

    def _release(self, text: str, left: str) -> str:
        if self._violation is not None:
            return ""
        self.passed += len(text)
        self.redacted |= left != text
        self._before = (self._before + left)[-self._windows.whole_chars_max :]
        return left

    async def _cut(self, text: str, left: str) -> tuple[int, str]:
        """How much of the text may go, and as what: nothing that was redacted, or may yet be, is cut in two."""
        windows = self._windows
        if self._violation is not None or not windows.margin_chars:
            return len(text), left
        end = len(text) - windows.margin_chars
        full = len(text) + windows.chars_max > windows.whole_chars_max
        if left == text:
            cut = next(_boundaries(text, end), max(end, 0) if full else 0)
            return cut, text[:cut]
        # First where what stands around has not been redacted, then anywhere.
        for cut in chain(_boundaries(text, end, left), _boundaries(text, end)):
            first = await self._left(text[:cut], windows.overlap_chars)
            if left.startswith(first) and first + await self._left(text[cut:], 0) == left:
                return cut, first
        return (len(text), left) if full else (0, "")

    async def _left(self, text: str, chars_before: int) -> str:
        """What is left of the text behind what came before it."""
        self._checks += 1
        before = self._before[max(0, len(self._before) - max(0, chars_before)) :]
        left = await self._asked(before + text)
        if left.startswith(before):
            return left[len(before) :]
        alone = await self._asked(before)
        # Only the beginning of the context was redacted, which is cut off anywhere; else something reaches back to
        # what is out, and no more of it goes out.
        return left[len(alone) if left.startswith(alone) else common_chars(left, before) :]

    async def _asked(self, text: str) -> str:
        if self._violation is not None or not text:
            return text
        left = await self._check(text)
        if isinstance(left, Violation):
            self._violation = left
            return text
        return left


def common_chars(text: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    return next(
        (at for at, (one, two) in enumerate(zip(text, other, strict=False)) if one != two), min(len(text), len(other))
    )


def _boundaries(text: str, end: int, left: str = "") -> Iterator[int]:
    """Places at most `end` behind which a word may begin, from the last one back in growing steps; with `left`, those
    around which the text stands in it."""
    step = 16
    for _ in range(_CUTS_MAX):
        while end > 0 and not (_BOUNDARY.match(text, end - 1) and _around(text, end) in (left or text)):
            end -= 1
        if end <= 0:
            return
        yield end
        end -= step
        step *= 3


def _around(text: str, place: int) -> str:
    return text[max(0, place - _AROUND_CHARS) : place + _AROUND_CHARS]
