"""Guardrails: what is shown was checked, and checking costs no more than the text is long."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_stack.agent.entries import ModelCall
from llama_stack.agent.guardrails import Guardrails, OutputGuard, Windows
from llama_stack.agent.ports import Violation
from llama_stack_api.errors import ProviderUnreachable
from llama_stack_api.principal import Call, Principal

pytestmark = pytest.mark.anyio

CALL = Call(principal=Principal(id="alice"))
FORBIDDEN = "XYZZY"
VIOLATION = Violation("words", "That word is not said here.")
SMALL = Windows(first_chars=4, chars_max=32, overlap_chars=8, whole_chars_max=64, margin_chars=0)
WINDOWS = st.builds(
    lambda first, more, overlap, whole, margin: Windows(
        first, first + more, overlap, first + more + overlap + whole, min(margin, overlap)
    ),
    st.integers(1, 20),
    st.integers(0, 60),
    st.integers(len(FORBIDDEN) - 1, 20),
    st.integers(0, 200),
    st.integers(0, 20),
)
DELTAS = st.lists(st.text(alphabet="ab XYZ", max_size=40), max_size=40)


@dataclass
class Words:
    """A shield that knows one forbidden word."""

    seen: list[Sequence[dict[str, Any]]] = field(default_factory=list)
    ids: list[tuple[str, ...]] = field(default_factory=list)

    async def check(
        self, shield_ids: Sequence[str], messages: Sequence[dict[str, Any]], call: Call
    ) -> Violation | None:
        assert call is CALL
        self.ids.append(tuple(shield_ids))
        self.seen.append(messages)
        return VIOLATION if any(FORBIDDEN in str(message["content"]) for message in messages) else None

    @property
    def chars(self) -> int:
        return sum(len(message["content"]) for messages in self.seen for message in messages)


class Unreachable:
    async def check(
        self, shield_ids: Sequence[str], messages: Sequence[dict[str, Any]], call: Call
    ) -> Violation | None:
        raise ProviderUnreachable("the shield does not answer")


def guardrails(shields: Words | Unreachable, windows: Windows | None = SMALL) -> Guardrails:
    return Guardrails(shields, ["words"], CALL, windows=windows)


async def pour(guard: OutputGuard, deltas: Sequence[str]) -> tuple[list[str], Violation | None]:
    """What was shown after each delta and at the end, and the violation that stopped it."""
    shown: list[str] = []
    for delta in [*deltas, None]:
        released = await (guard.finish() if delta is None else guard.feed(delta))
        if isinstance(released, Violation):
            return shown, released
        shown.append(released)
    return shown, None


@given(WINDOWS, DELTAS)
def test_all_clean_text_is_released_and_no_other(windows: Windows, deltas: list[str]) -> None:
    deltas = [delta.replace("Z", "z") for delta in deltas]
    text, given_so_far, released_so_far = "".join(deltas), "", ""
    words = Words()
    shown, violation = asyncio.run(pour(guardrails(words, windows).output(), deltas))
    assert violation is None
    for delta, released in zip([*deltas, ""], shown, strict=True):
        given_so_far += delta
        released_so_far += released
        assert given_so_far.startswith(released_so_far)
    assert released_so_far == text


@given(WINDOWS, DELTAS)
def test_the_cost_is_linear(windows: Windows, deltas: list[str]) -> None:
    deltas = [delta.replace("Z", "z") for delta in deltas]
    length = len("".join(deltas))
    words = Words()
    asyncio.run(pour(guardrails(words, windows).output(), deltas))
    doublings = (windows.chars_max // windows.first_chars).bit_length() + 1
    checks_max = length / windows.chars_max + doublings + 1
    assert len(words.seen) <= checks_max
    # A word that is longer than a window stays back, and is seen again as a whole.
    words_max = windows.whole_chars_max - windows.chars_max if windows.margin_chars else 0
    again = max(windows.overlap_chars, words_max)
    assert words.chars <= length + checks_max * again + min(length, windows.whole_chars_max)


@given(WINDOWS, DELTAS, st.integers(0, 1600), st.integers(1, 9))
def test_a_violation_is_never_released(windows: Windows, deltas: list[str], place: int, size: int) -> None:
    text = "".join(deltas)
    text = text[:place] + FORBIDDEN + text[place:]
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    shown, violation = asyncio.run(pour(guardrails(Words(), windows).output(), pieces))
    assert violation == VIOLATION
    assert FORBIDDEN not in "".join(shown)
    assert text.startswith("".join(shown))
    if windows.margin_chars >= len(FORBIDDEN) - 1:
        assert len("".join(shown)) <= text.index(FORBIDDEN), "not even the beginning of it"


async def test_a_long_answer_is_checked_a_few_times_not_once_a_delta() -> None:
    words = Words()
    text = "word " * 20_000
    shown, violation = await pour(guardrails(words, None).output(), [text[at : at + 5] for at in range(0, 100_000, 5)])
    assert violation is None
    assert "".join(shown) == text
    assert len(words.seen) < 35
    assert words.chars < 1.4 * len(text)
    assert sum(map(bool, shown[:100])) == 1, "the first words come soon"


async def test_a_short_answer_is_checked_once() -> None:
    words = Words()
    assert await pour(guardrails(words, None).output(), ["Hello ", "there."]) == (["", "", "Hello there."], None)
    assert words.seen == [[{"role": "assistant", "content": "Hello there."}]]
    assert words.ids == [("words",)]
    words = Words()
    assert await pour(guardrails(words, None).output(), []) == ([""], None)
    assert words.seen == [], "there is nothing to check"


async def test_one_delta_of_one_window_is_not_checked_again_at_the_end() -> None:
    words = Words()
    assert await pour(guardrails(words).output(), ["exactly one window"]) == (["exactly one window", ""], None)
    assert len(words.seen) == 1


class Whole(Words):
    """Objects to what only the whole shows: too many of a letter."""

    async def check(
        self, shield_ids: Sequence[str], messages: Sequence[dict[str, Any]], call: Call
    ) -> Violation | None:
        await super().check(shield_ids, messages, call)
        return VIOLATION if messages[0]["content"].count("!") > 5 else None


async def test_the_last_check_sees_the_whole() -> None:
    whole = Whole()
    text = "a! bbbbbbbbbbbbbbbb" * 3
    assert await pour(guardrails(whole).output(), list(text)) == ([*await _shown(text)], None)
    last = whole.seen[-1][0]["content"]
    assert last == text
    shown, violation = await pour(guardrails(Whole()).output(), list("!! ............... " * 3))
    assert violation == VIOLATION
    assert "".join(shown).count("!") <= 5


async def _shown(text: str) -> list[str]:
    return (await pour(guardrails(Words()).output(), list(text)))[0]


async def test_nothing_comes_out_after_a_violation() -> None:
    words = Words()
    guard = guardrails(words).output()
    assert await guard.feed(f"so {FORBIDDEN}") == VIOLATION
    checks = len(words.seen)
    assert await guard.feed("more and more and more") == VIOLATION
    assert await guard.finish() == VIOLATION
    assert len(words.seen) == checks


async def test_input() -> None:
    words = Words()
    guards = guardrails(words)
    hello = [{"role": "user", "content": "Hello"}]
    assert await guards.input(hello) is hello
    assert await guards.input([{"role": "user", "content": f"Say {FORBIDDEN}"}]) == VIOLATION
    assert await guards.input([]) == []
    assert len(words.seen) == 2


async def test_arguments_are_read_without_escapes() -> None:
    words = Words()
    guards = guardrails(words)
    call = ModelCall("c", "search", '{"q": "llamas"}')
    assert await guards.arguments(call) is call
    assert words.seen[-1] == [{"role": "assistant", "content": 'search {"q":"llamas"}'}]
    assert await guards.arguments(ModelCall("c", "search", r'{"q": "X\u0059ZZY"}')) == VIOLATION
    assert await guards.arguments(ModelCall("c", "search", f"{{not json {FORBIDDEN}")) == VIOLATION
    nested = ModelCall("c", "search", "[" * 100_000)
    assert await guards.arguments(nested) is nested


async def test_a_long_result_is_checked_in_windows() -> None:
    words = Words()
    guards = guardrails(words)
    call = ModelCall("c-1", "fetch", "{}")
    assert await guards.result(call, "clean " * 50) == "clean " * 50
    assert words.seen[0] == [{"role": "tool", "tool_call_id": "c-1", "content": ("clean " * 50)[:32]}]
    assert len(words.seen) == 10
    for place in range(60):
        assert await guards.result(call, "." * place + FORBIDDEN + "." * (80 - place)) == VIOLATION


async def test_a_result_of_parts() -> None:
    words = Words()
    guards = guardrails(words)
    call = ModelCall("c-1", "fetch", "{}")
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    page: list[dict[str, Any]] = [{"type": "text", "text": "a page"}, image]
    assert await guards.result(call, page) is page
    assert words.seen == [
        [{"role": "tool", "tool_call_id": "c-1", "content": "a page"}],
        [{"role": "user", "content": [image]}],
    ]
    assert await guards.result(call, [image, {"type": "text", "text": FORBIDDEN}]) == VIOLATION
    assert len(words.seen) == 3, "one violation is enough"


async def test_a_shield_that_fails_lets_nothing_pass() -> None:
    guards = guardrails(Unreachable())
    call = ModelCall("c-1", "fetch", "{}")
    with pytest.raises(ProviderUnreachable):
        await guards.input([{"role": "user", "content": "Hello"}])
    with pytest.raises(ProviderUnreachable):
        await guards.arguments(call)
    with pytest.raises(ProviderUnreachable):
        await guards.result(call, "text")
    with pytest.raises(ProviderUnreachable):
        await guards.output().feed("some text")


@pytest.mark.parametrize("numbers", [(0, 10, 2, 100), (11, 10, 2, 100), (1, 10, -1, 100), (1, 10, 2, 11)])
def test_windows_that_could_not_work(numbers: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="window"):
        Windows(*numbers, margin_chars=0)
