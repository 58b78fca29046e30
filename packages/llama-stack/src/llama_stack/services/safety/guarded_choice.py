"""One choice of a streamed completion under guard: its pieces are held back until a shield has seen them.

Text goes out in windows, as `agent.guardrails.OutputGuard` lets it. Calls of tools, and what else a delta may hold, go
out when they are whole: arguments are words of the model too. The log probabilities of tokens go with their text.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import msgspec

from llama_stack.agent.guardrails import Guardrails
from llama_stack.agent.ports import Violation
from llama_stack.dialects.openai import sse
from llama_stack.dialects.openai.accumulate import accumulate
from llama_stack.services.safety.said import CALLS, ENDING_MEMBERS, text_in, violation_in
from llama_stack_api.errors import ProviderError

TEXTS: Final = ("reasoning_content", "reasoning", "content", "refusal", "text")
"""Members of a delta that hold the next piece of a text; `text` is a completion's."""

HELD_BYTES_MAX: Final = 16 * 1024 * 1024
"""The longest calls of tools that are held back in one choice."""


class _Blocked(Exception):
    def __init__(self, violation: Violation) -> None:
        super().__init__(violation.message)
        self.violation = violation


class GuardedChoice:
    """`chat`: pieces are deltas of a chat completion; else texts of a completion."""

    def __init__(self, index: int, rails: Guardrails, *, chat: bool) -> None:
        self._index = index
        self._rails = rails
        self._chat = chat
        self._texts: dict[str, _Text] = {}
        self._calls: list[dict[str, Any]] = []
        self._others: list[dict[str, Any]] = []
        self._held_bytes = 0
        self._out: list[dict[str, Any]] = []
        self._begun = self._ended = False

    async def feed(self, piece: dict[str, Any], size: int) -> list[dict[str, Any]]:
        """The pieces that may go out now, which mostly are none. `size` is that of the event, in bytes."""
        if self._ended:
            return []
        try:
            await self._take(piece, size)
            if piece.get("finish_reason"):
                await self._finish(piece)
        except _Blocked as blocked:
            self._block(blocked.violation)
        return self._taken_out()

    async def end(self) -> list[dict[str, Any]]:
        """Where the stream ends without a word about this choice."""
        return [] if self._ended else await self.feed({"finish_reason": "stop"}, 0)

    async def _take(self, piece: dict[str, Any], size: int) -> None:
        delta, logprobs = self._delta(piece), piece.get("logprobs")
        if delta.get("role") and not self._begun:
            self._begin(delta["role"])
        for name in TEXTS:
            text = delta.get(name)
            if isinstance(text, str) and text:
                await self._say(name, text, logprobs)
                logprobs = None
        if logprobs:
            await self._say("content" if self._chat else "text", "", logprobs)
        self._hold(delta, size)

    def _delta(self, piece: dict[str, Any]) -> dict[str, Any]:
        if not self._chat:
            return {"text": piece.get("text")}
        delta = piece.get("delta")
        return delta if isinstance(delta, dict) else {}

    async def _say(self, name: str, text: str, logprobs: Any) -> None:
        if name not in self._texts:
            await self._flush()  # thoughts go out before the answer
            self._texts[name] = _Text(self._rails)
        self._release(name, *await self._texts[name].feed(text, logprobs))

    def _hold(self, delta: dict[str, Any], size: int) -> None:
        calls = {name: delta[name] for name in CALLS if delta.get(name)}
        others = {
            name: value
            for name, value in delta.items()
            if value and name not in CALLS and name != "role" and not (name in TEXTS and isinstance(value, str))
        }
        if not calls and not others:
            return
        self._held_bytes += size
        if self._held_bytes > HELD_BYTES_MAX:
            raise ProviderError(f"The model's calls are longer than {HELD_BYTES_MAX} bytes, too long to be checked.")
        if calls:
            self._calls.append(calls)
        if others:
            self._others.append(others)

    async def _flush(self) -> None:
        """All but calls, which are not whole before the end."""
        for name, text in self._texts.items():
            self._release(name, *await text.finish())
        if self._others:
            _pass(await self._rails.answer(text_in(self._others)))
            for held in self._others:
                self._emit(held)
            self._others.clear()

    async def _finish(self, piece: dict[str, Any]) -> None:
        await self._flush()
        if self._calls:
            _pass(await violation_in(_whole(self._calls), self._rails))
            for held in self._calls:
                self._emit(held)
        self._ended = True
        endings = {name: piece[name] for name in ENDING_MEMBERS if name in piece}
        self._emit({}, finish_reason=piece["finish_reason"], **endings)

    def _block(self, violation: Violation) -> None:
        self._ended = True
        self._texts.clear()
        self._calls.clear()
        self._others.clear()
        if self._chat:
            self._emit({"refusal": violation.message})
        self._emit({}, finish_reason="content_filter")

    def _release(self, name: str, text: str, logprobs: dict[str, Any] | None) -> None:
        if text or logprobs:
            self._emit({name: text}, logprobs=logprobs)

    def _begin(self, role: str) -> None:
        self._begun = True
        self._out.append(self._piece({"role": role, "content": ""}))

    def _emit(self, delta: dict[str, Any], **members: Any) -> None:
        if self._chat and not self._begun:
            self._begin("assistant")
        self._out.append(self._piece(delta, **members))

    def _piece(self, delta: dict[str, Any], **members: Any) -> dict[str, Any]:
        said = {"delta": delta} if self._chat else {"text": delta.get("text", "")}
        return {"index": self._index, **said, "logprobs": None, "finish_reason": None, **members}

    def _taken_out(self) -> list[dict[str, Any]]:
        out, self._out = self._out, []
        return out


class _Text:
    """One text of a choice, and the log probabilities of what is still held of it."""

    def __init__(self, rails: Guardrails) -> None:
        self._guard = rails.output()
        self._fed = self._released = 0
        self._marks: deque[tuple[int, dict[str, Any]]] = deque()
        """Each with the number of characters that must be out before it."""

    async def feed(self, text: str, logprobs: Any) -> tuple[str, dict[str, Any] | None]:
        self._fed += len(text)
        if isinstance(logprobs, dict):
            # Tokens without text are parts of the next character.
            self._marks.append((self._fed if text else self._fed + 1, logprobs))
        return self._let_out(await self._guard.feed(text), last=False)

    async def finish(self) -> tuple[str, dict[str, Any] | None]:
        return self._let_out(await self._guard.finish(), last=True)

    def _let_out(self, text: str | Violation, *, last: bool) -> tuple[str, dict[str, Any] | None]:
        if isinstance(text, Violation):
            raise _Blocked(text)
        self._released += len(text)
        due: dict[str, list[Any]] = {}
        found = False
        while self._marks and (last or self._marks[0][0] <= self._released):
            found = True
            for name, values in self._marks.popleft()[1].items():
                due.setdefault(name, []).extend(values if isinstance(values, list) else ())
        return text, due if found else None


def _pass(violation: Violation | None) -> None:
    if violation is not None:
        raise _Blocked(violation)


def _whole(deltas: list[dict[str, Any]]) -> dict[str, Any]:
    """The message that pieces of calls amount to."""
    events = (sse.encode(msgspec.json.encode({"choices": [{"index": 0, "delta": delta}]})) for delta in deltas)
    message: dict[str, Any] = accumulate(b"".join(events))["choices"][0]["message"]
    return message
