"""Shields at the four places of a response where text crosses a border: input, a tool's arguments, its result, output.

Long text is checked in windows that overlap, so that the characters sent to the shields stay proportional to the
text. A shield that cannot answer raises: what nobody has checked goes no further.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from llama_stack.agent.entries import ModelCall
from llama_stack.agent.ports import Shields, Violation
from llama_stack.dialects.openai.errors import UNREADABLE
from llama_stack_api.principal import Call


@dataclass(frozen=True, slots=True)
class Windows:
    """How text is cut for the shields, in characters.

    Output is first checked after `first_chars`, so that a reader waits little, then in windows that double up to
    `chars_max`. Each check sees `overlap_chars` of what came before, for what stands astride two windows. The last
    check of an output sees it as a whole, or its last `whole_chars_max`.
    """

    first_chars: int = 256
    chars_max: int = 4096
    overlap_chars: int = 512
    whole_chars_max: int = 16_384

    def __post_init__(self) -> None:
        if not 0 < self.first_chars <= self.chars_max or self.overlap_chars < 0:
            raise ValueError("a window has at least one character, and the first is no longer than the others")
        if self.whole_chars_max < self.chars_max + self.overlap_chars:
            raise ValueError("the last check must see at least a window and its overlap")

    def of(self, text: str) -> Iterator[str]:
        """The windows of a text that is there as a whole."""
        for start in range(0, len(text), self.chars_max):
            yield text[max(0, start - self.overlap_chars) : start + self.chars_max]


@dataclass(frozen=True, slots=True)
class Standing:
    """Ids of shields that are asked whether a request names them or not: of what the model is shown, and of what it
    answers."""

    input: tuple[str, ...] = ()
    output: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.input or self.output)


class Guardrails:
    """Shields on behalf of a `call`: `ids`, which its request names, stand on both sides, beside those of `standing`.
    All are known to `shields`: see `Shields.check`. What the model is shown is its input, results of tools included;
    what it says is its output, arguments for tools included."""

    def __init__(
        self,
        shields: Shields,
        ids: Sequence[str],
        call: Call,
        *,
        standing: Standing | None = None,
        windows: Windows | None = None,
    ) -> None:
        standing = standing or Standing()
        self._shields = shields
        self._input_ids = tuple(dict.fromkeys((*standing.input, *ids)))
        self._output_ids = tuple(dict.fromkeys((*standing.output, *ids)))
        self._call = call
        self._windows = windows or Windows()

    @property
    def checks_output(self) -> bool:
        return bool(self._output_ids)

    async def input(self, messages: Sequence[dict[str, Any]]) -> Violation | None:
        """Checks chat messages before the model sees them."""
        return await self._check(self._input_ids, messages) if messages else None

    async def arguments(self, call: ModelCall) -> Violation | None:
        """Checks a tool's arguments before it runs."""
        return await self.answer(f"{call.name} {_plain(call.arguments)}")

    async def answer(self, text: str) -> Violation | None:
        """Checks what the model says, where it is there as a whole."""
        if len(text) <= self._windows.whole_chars_max:
            return await self._check_output(text) if text else None
        return await self._check_text(self._output_ids, text, role="assistant")

    async def result(self, call: ModelCall, shown: str | Sequence[dict[str, Any]]) -> Violation | None:
        """Checks what a tool answered (text, or parts of a chat message) before the model sees it."""
        parts = [{"type": "text", "text": shown}] if isinstance(shown, str) else shown
        text = "\n".join(part["text"] for part in parts if part.get("type") == "text")
        violation = await self._check_text(self._input_ids, text, role="tool", tool_call_id=call.id)
        others = [part for part in parts if part.get("type") != "text"]
        if violation is None and others:
            # A tool message holds only text; what else there is, the model is shown as a user's.
            violation = await self._check(self._input_ids, [{"role": "user", "content": others}])
        return violation

    def output(self) -> OutputGuard:
        """For one text part of the model's."""
        return OutputGuard(self._check_output, self._windows)

    async def _check_output(self, text: str) -> Violation | None:
        return await self._check(self._output_ids, [{"role": "assistant", "content": text}])

    async def _check_text(self, ids: Sequence[str], text: str, **message: str) -> Violation | None:
        for window in self._windows.of(text):
            violation = await self._check(ids, [{**message, "content": window}])
            if violation is not None:
                return violation
        return None

    async def _check(self, ids: Sequence[str], messages: Sequence[dict[str, Any]]) -> Violation | None:
        return await self._shields.check(ids, messages, self._call) if ids else None


class OutputGuard:
    """Holds text back until it was checked. After a violation nothing is released any more.

    A violation that no window shows by itself, only the whole, is found at the end, when earlier windows are out.
    """

    def __init__(self, check: Callable[[str], Awaitable[Violation | None]], windows: Windows) -> None:
        self._check = check
        self._windows = windows
        self._next_chars = windows.first_chars
        self._held = ""
        self._before = ""
        """The end of what was released, as much of it as a check may see."""
        self._checks = 0
        self._violation: Violation | None = None

    async def feed(self, delta: str) -> str | Violation:
        """The text that may be shown now, which mostly is none."""
        text, start = self._held + delta, 0
        while self._violation is None and len(text) - start >= self._next_chars:
            window = text[start : start + self._windows.chars_max]
            await self._look_at(window, self._windows.overlap_chars)
            start += len(window)
            self._next_chars = min(2 * self._next_chars, self._windows.chars_max)
        self._held = text[start:]
        return self._violation or text[:start]

    async def finish(self) -> str | Violation:
        """The rest, after a look at the whole."""
        rest, self._held = self._held, ""
        if self._violation is None and (rest or self._checks > 1):
            await self._look_at(rest, self._windows.whole_chars_max - len(rest))
        return self._violation or rest

    async def _look_at(self, text: str, chars_before: int) -> None:
        self._checks += 1
        seen = self._before[max(0, len(self._before) - chars_before) :] + text
        self._violation = await self._check(seen)
        self._before = (self._before + text)[-self._windows.whole_chars_max :]


def _plain(arguments: str) -> str:
    """JSON without escapes, behind which a word could hide from a shield; what is no JSON stays as it is."""
    try:
        return msgspec.json.encode(msgspec.json.decode(arguments)).decode()
    except UNREADABLE:
        return arguments
