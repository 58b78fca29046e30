"""One choice of a streamed completion under guard: its pieces are held back until a shield has seen them.

Text goes out in windows, as `agent.guardrails.OutputGuard` lets it. Calls of tools, and what else a delta may hold, go
out when they are whole: arguments are words of the model too. The log probabilities of tokens go with their text.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, TypeVar

import msgspec

from llama_stack.agent.guardrails import Guardrails
from llama_stack.agent.ports import Violation
from llama_stack.agent.readable import text_in
from llama_stack.dialects.openai import sse
from llama_stack.dialects.openai.accumulate import accumulate
from llama_stack.services.safety.guarded_tokens import chosen, spelled
from llama_stack.services.safety.said import CALLS, ENDING_MEMBERS, passed
from llama_stack_api.errors import ProviderError

TEXTS: Final = ("reasoning_content", "reasoning", "content", "refusal", "text")
"""Members of a delta that hold the next piece of a text; `text` is a completion's."""

HELD_BYTES_MAX: Final = 16 * 1024 * 1024
"""The longest calls of tools that are held back in one choice."""

UNLIKE_CHARS_MAX: Final = 16_384
"""Of tokens that are not the text beside them, as many are looked at together."""

T = TypeVar("T")


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
        self._calls: list[tuple[dict[str, Any], dict[str, Any] | None]] = []
        """With the log probabilities of their tokens."""
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
        delta, logprobs = self._delta(piece), chosen(piece.get("logprobs"))
        if delta.get("role") and not self._begun:
            self._begin(delta["role"])
        texts = [(name, text) for name in TEXTS if isinstance(text := delta.get(name), str) and text]
        calls = {name: delta[name] for name in CALLS if delta.get(name)}
        if logprobs and not texts and not calls:
            texts = [("content" if self._chat else "text", "")]
        # Tokens of several texts, or of a text and a call, go out with the last of them.
        for number, (name, text) in enumerate(texts, 1):
            await self._say(name, text, logprobs if number == len(texts) and not calls else None)
        self._hold(delta, calls, logprobs, size)

    def _delta(self, piece: dict[str, Any]) -> dict[str, Any]:
        if not self._chat:
            return {"text": piece.get("text")}
        delta = piece.get("delta")
        return delta if isinstance(delta, dict) else {}

    async def _say(self, name: str, text: str, logprobs: dict[str, Any] | None) -> None:
        if name not in self._texts:
            await self._flush()  # thoughts go out before the answer
            self._texts[name] = _Text(self._rails)
        self._release(name, *await self._texts[name].feed(text, logprobs))

    def _hold(self, delta: dict[str, Any], calls: dict[str, Any], logprobs: dict[str, Any] | None, size: int) -> None:
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
            self._calls.append((calls, logprobs))
        if others:
            self._others.append(others)

    async def _flush(self) -> None:
        """All but calls, which are not whole before the end."""
        for name, text in self._texts.items():
            self._release(name, *await text.finish())
        if self._others:
            beside = text_in(self._others)
            # What is sound or signed cannot be redacted: then it stays here.
            if _passed(await self._rails.answer(beside)) == beside:
                for held in self._others:
                    self._emit(held)
            self._others.clear()

    async def _finish(self, piece: dict[str, Any]) -> None:
        await self._flush()
        if self._calls:
            await self._call()
        self._ended = True
        endings = {name: piece[name] for name in ENDING_MEMBERS if name in piece}
        self._emit({}, finish_reason=piece["finish_reason"], **endings)

    async def _call(self) -> None:
        whole = _whole([calls for calls, _ in self._calls])
        left = _passed(await passed(whole, self._rails))
        if left != whole:
            numbered = [{"index": index, **call} for index, call in enumerate(left.get("tool_calls") or ())]
            calls = {"tool_calls": numbered, "function_call": left.get("function_call")}
            self._emit({name: value for name, value in calls.items() if value})
            return
        tokens = "".join(spelled(logprobs) for _, logprobs in self._calls if logprobs)
        as_said = _passed(await self._rails.answer(tokens)) == tokens
        for calls, logprobs in self._calls:
            self._emit(calls, logprobs=logprobs if as_said else None)

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
        self._rails = rails
        self._guard = rails.output()
        self._fed = 0
        self._marks: deque[tuple[int, dict[str, Any]]] = deque()
        """Each with the number of characters that must be out before it."""
        self._unlike = ""
        """What tokens spell that is not the text beside them."""

    async def feed(self, text: str, logprobs: dict[str, Any] | None) -> tuple[str, dict[str, Any] | None]:
        self._fed += len(text)
        if logprobs:
            # Tokens without text are parts of the next character.
            self._marks.append((self._fed if text else self._fed + 1, logprobs))
            if (said := spelled(logprobs)) != text:
                self._unlike = (self._unlike + said)[-UNLIKE_CHARS_MAX:]
        return await self._let_out(await self._guard.feed(text), last=False)

    async def finish(self) -> tuple[str, dict[str, Any] | None]:
        return await self._let_out(await self._guard.finish(), last=True)

    async def _let_out(self, text: str | Violation, *, last: bool) -> tuple[str, dict[str, Any] | None]:
        left = _passed(text)
        due: dict[str, list[Any]] = {}
        found = False
        while self._marks and (last or self._marks[0][0] <= self._guard.passed):
            found = True
            for name, values in self._marks.popleft()[1].items():
                due.setdefault(name, []).extend(values or ())
        if found and self._unlike:
            found = _passed(await self._rails.answer(self._unlike)) == self._unlike
        # The tokens of what was redacted would spell it.
        return left, due if found and not self._guard.redacted else None


def _passed(left: Violation | T) -> T:
    if isinstance(left, Violation):
        raise _Blocked(left)
    return left


def _whole(deltas: list[dict[str, Any]]) -> dict[str, Any]:
    """The message that pieces of calls amount to."""
    events = (sse.encode(msgspec.json.encode({"choices": [{"index": 0, "delta": delta}]})) for delta in deltas)
    message: dict[str, Any] = accumulate(b"".join(events))["choices"][0]["message"]
    return message
