"""Shields at the four places of a response where text crosses a border: input, a tool's arguments, its result, output.

Each method gives a violation, or what may go on: what it was given, or that with other texts where a shield redacts.
Long text is checked in windows that overlap, so that the characters sent to the shields stay proportional to the
text. A shield that cannot answer raises: what nobody has checked goes no further.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from llama_stack.agent.entries import ModelCall
from llama_stack.agent.output_guard import OutputGuard, Windows
from llama_stack.agent.ports import Redacted, Shields, Violation
from llama_stack.agent.readable import plain, readable
from llama_stack.agent.redaction import texts_in, with_texts
from llama_stack_api.principal import Call

__all__ = ["Guardrails", "OutputGuard", "Standing", "Windows"]

CANNOT = "This holds what must not be passed on, and cannot be passed on without it."

T = TypeVar("T")


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
    what it says is its output, arguments for tools included. Each shield sees what the one before it has left."""

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

    async def input(self, messages: list[dict[str, Any]]) -> Violation | list[dict[str, Any]]:
        """Checks chat messages before the model sees them."""
        return await self._left(self._input_ids, messages, _readable)

    async def texts(self, value: T, shown: Callable[[T], list[dict[str, Any]]]) -> Violation | T:
        """The same of JSON that is `shown` to the model as chat messages."""
        return await self._left(self._input_ids, value, lambda value: _readable(shown(value)))

    async def arguments(self, call: ModelCall) -> Violation | ModelCall:
        """Checks a tool's arguments before it runs. They stay JSON where they are."""
        said = {"arguments": call.arguments}

        def shown(said: dict[str, str]) -> list[dict[str, Any]]:
            return [{"role": "assistant", "content": f"{call.name} {plain(said['arguments'])}"}]

        if len(call.arguments) > self._windows.whole_chars_max:
            text = shown(said)[0]["content"]
            left = await self.answer(text)
            if isinstance(left, Violation) or left == text:
                return left if isinstance(left, Violation) else call
        found = await self._left(self._output_ids, said, shown)
        return found if isinstance(found, Violation) else replace_arguments(call, found["arguments"])

    async def answer(self, text: str) -> Violation | str:
        """Checks what the model says, where it is there as a whole."""
        if len(text) <= self._windows.whole_chars_max:
            return await self._check_output(text)
        return await self._long(self._output_ids, text, role="assistant")

    async def result(
        self, call: ModelCall, shown: str | list[dict[str, Any]]
    ) -> Violation | str | list[dict[str, Any]]:
        """Checks what a tool answered (text, or parts of a chat message) before the model sees it."""
        if isinstance(shown, str):
            return await self._long(self._input_ids, shown, role="tool", tool_call_id=call.id)
        text = "\n".join(part["text"] for part in shown if part.get("type") == "text")
        others = [part for part in shown if part.get("type") != "text"]
        left = await self._long(self._input_ids, text, role="tool", tool_call_id=call.id)
        if isinstance(left, Violation):
            return left
        # A tool message holds only text; what else there is, the model is shown as a user's.
        beside: list[dict[str, Any]] = [{"role": "user", "content": others}] if others else []
        kept = await self._left(self._input_ids, beside, _readable)
        if isinstance(kept, Violation):
            return kept
        if left == text and kept is beside:
            return shown
        others = kept[0]["content"] if kept else []
        return [{"type": "text", "text": left}, *others]

    def output(self) -> OutputGuard:
        """For one text part of the model's."""
        return OutputGuard(self._check_output, self._windows)

    async def _check_output(self, text: str) -> Violation | str:
        return await self._text(self._output_ids, text, role="assistant")

    async def _long(self, ids: Sequence[str], text: str, **message: str) -> Violation | str:
        async def check(window: str) -> Violation | str:
            return await self._text(ids, window, **message)

        windows = replace(self._windows, first_chars=self._windows.chars_max)
        guard = OutputGuard(check, windows, whole=False)
        begun = await guard.feed(text)
        rest = begun if isinstance(begun, Violation) else await guard.finish()
        return rest if isinstance(begun, Violation) or isinstance(rest, Violation) else begun + rest

    async def _text(self, ids: Sequence[str], text: str, **message: str) -> Violation | str:
        while text:
            found = await self._check(ids, [{**message, "content": text}])
            if not isinstance(found, Redacted):
                return found or text
            [text] = found.texts
            ids = _after(ids, found.shield_id)
        return text

    async def _left(self, ids: Sequence[str], value: T, shown: Callable[[T], list[dict[str, Any]]]) -> Violation | T:
        while True:
            found = await self._check(ids, shown(value))
            if not isinstance(found, Redacted):
                return found or value
            left = await self._redacted(found.shield_id, value, shown)
            if isinstance(left, Violation):
                return left
            value, ids = left, _after(ids, found.shield_id)

    async def _redacted(self, shield_id: str, value: T, shown: Callable[[T], list[dict[str, Any]]]) -> Violation | T:
        """The value as the shield leaves it, text by text. It has to be content with that."""
        asked = [_asked(part) for part in (value if isinstance(value, list) else [value])]
        found = await self._check([shield_id], [message for message in asked if message["content"]])
        if isinstance(found, Violation):
            return found
        left: T = value if found is None else with_texts(value, found.texts)
        again = await self._check([shield_id], shown(left))
        return Violation(shield_id, CANNOT) if isinstance(again, Redacted) else again or left

    async def _check(self, ids: Sequence[str], messages: Sequence[dict[str, Any]]) -> Violation | Redacted | None:
        return await self._shields.check(ids, messages, self._call) if ids and messages else None


def replace_arguments(call: ModelCall, arguments: str) -> ModelCall:
    return call if arguments == call.arguments else ModelCall(call.id, call.name, arguments)


def _readable(messages: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [readable(message) for message in messages]


def _asked(value: Any) -> dict[str, Any]:
    """The texts of a value as a message that holds nothing else."""
    said_by_model = isinstance(value, dict) and (value.get("role") == "assistant" or "arguments" in value)
    parts = [{"type": "text", "text": text} for text in texts_in(value)]
    return {"role": "assistant" if said_by_model else "user", "content": parts}


def _after(ids: Sequence[str], shield_id: str) -> Sequence[str]:
    return ids[list(ids).index(shield_id) + 1 :]
