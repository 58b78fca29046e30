"""A stream under guard, whatever pieces it comes in: nothing of what is blocked goes out, all of what is fine does."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llama_stack.agent.guardrails import Guardrails, Standing, Windows
from llama_stack.agent.ports import Violation
from llama_stack.dialects.openai import sse
from llama_stack.dialects.openai.accumulate import accumulate
from llama_stack.services.safety import guarded_choice
from llama_stack.services.safety.guarded_stream import GuardedStream, guarded_blocks
from llama_stack_api.errors import ProviderError
from llama_stack_api.principal import Call

pytestmark = pytest.mark.anyio

BAD = "XBADX"
WINDOWS = Windows(first_chars=8, chars_max=16, overlap_chars=8, margin_chars=4, whole_chars_max=64)


class Words:
    """Finds `BAD`; remembers what it was shown."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    async def check(
        self, shield_ids: Sequence[str], messages: Sequence[dict[str, Any]], call: Call
    ) -> Violation | None:
        self.shown += [str(message["content"]) for message in messages]
        return Violation("words", "No.") if any(BAD in text for text in self.shown[-len(messages) :]) else None


def stream_of(shield: Words, *, chat: bool = True) -> GuardedStream:
    rails = Guardrails(shield, (), Call(), standing=Standing(output=("words",)), windows=WINDOWS)
    return GuardedStream(rails, chat=chat)


def event(delta: dict[str, Any] | None = None, *, index: int = 0, **members: Any) -> bytes:
    choice = {"index": index, "delta": delta or {}, "finish_reason": None, **members}
    return sse.encode(json.dumps({"id": "c", "model": "m", "choices": [choice], "vendor": BAD}).encode())


async def sent(stream: GuardedStream, events: Sequence[bytes]) -> bytes:
    return b"".join([await stream.feed(each) for each in (*events, sse.DONE)])


@given(st.lists(st.text("ab\U0001f600 \n", min_size=1, max_size=9), max_size=12), st.integers(0, 12), st.booleans())
@settings(max_examples=150, deadline=None)
async def test_a_text_passes_whole_or_is_cut_before_what_is_bad(pieces: list[str], at: int, bad: bool) -> None:
    pieces = [*pieces[:at], *(["XB", "AD", "X"] if bad else []), *pieces[at:]]
    events = [event({"role": "assistant"}), *(event({"content": piece}) for piece in pieces)]
    out = await sent(stream_of(Words()), [*events, event(finish_reason="stop")])
    [choice] = accumulate(out)["choices"]
    said = choice["message"]["content"] or ""
    if bad:
        assert choice["finish_reason"] == "content_filter"
        assert choice["message"]["refusal"] == "No."
        assert "".join(pieces).startswith(said)
        assert BAD not in said
    else:
        assert (said, choice["finish_reason"]) == ("".join(pieces), "stop")
    assert b"vendor" not in out


async def test_thoughts_go_out_before_the_answer_and_their_signatures_with_them() -> None:
    signed = {"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}]}
    events = [event({"reasoning_content": "hm"}), event(signed), event({"content": "Hi"}), event(finish_reason="stop")]
    out = await sent(stream_of(Words()), events)
    order = [name for piece in out.split(b"\n\n") for name in (b"hm", b"signature", b"Hi", b'"stop"') if name in piece]
    assert order == [b"hm", b"hm", b"signature", b"Hi", b'"stop"']


@pytest.mark.parametrize(
    "delta",
    [
        {"thinking_blocks": [{"type": "thinking", "thinking": BAD, "signature": "s"}]},
        {"audio": {"id": "a", "transcript": BAD, "data": "AAAA"}},
        {"annotations": [{"type": "url_citation", "url_citation": {"url": "u", "title": BAD}}]},
        {"content": [{"type": "text", "text": BAD}]},
        {"function_call": {"name": "f", "arguments": BAD}},
        {"tool_calls": [{"index": 0, "id": "c", "type": "custom", "custom": {"name": "f", "input": BAD}}]},
        {"tool_calls": [{"index": 0, "id": "c", "function": {"name": BAD, "arguments": "{}"}}]},
        {"something_new": {"deep": [BAD]}},
    ],
)
async def test_whatever_can_be_read_is_checked(delta: dict[str, Any]) -> None:
    out = await sent(stream_of(Words()), [event({"content": "Hi"}), event(delta), event(finish_reason="stop")])
    assert BAD.encode() not in out
    assert accumulate(out)["choices"][0]["finish_reason"] == "content_filter"


async def test_pieces_of_a_transcript_are_one_text() -> None:
    pieces = [event({"audio": {"id": "a", "transcript": piece}}) for piece in ("XB", "ADX")]
    out = await sent(stream_of(Words()), [*pieces, event(finish_reason="stop")])
    assert b"XB" not in out


async def test_the_tokens_of_held_text_are_held() -> None:
    def said(text: str) -> bytes:
        return event({"content": text}, logprobs={"content": [{"token": text, "logprob": -1}], "refusal": None})

    stream = stream_of(Words())
    out = b"".join([await stream.feed(said(text)) for text in ("aaaa ", "bbbb ", "cccc")])
    assert b'"aaaa "' in out, "the first window is full"
    assert b"bbbb" not in out
    rest = await stream.feed(said(f"{BAD}dddddddd"))
    rest += await sent(stream, [event(finish_reason="stop")])
    assert b"bbbb" not in rest
    assert b"dddd" not in rest


async def test_a_choice_that_is_blocked_stays_so_and_others_go_on() -> None:
    events = [
        event({"content": BAD * 3}),
        event({"content": "fine"}, index=1),
        event({"content": "more"}),
        event(finish_reason="stop"),
        event(finish_reason="stop", index=1),
    ]
    blocked, other = accumulate(await sent(stream_of(Words()), events))["choices"]
    assert (blocked["finish_reason"], blocked["message"]["content"]) == ("content_filter", "")
    assert (other["finish_reason"], other["message"]["content"]) == ("stop", "fine")


async def test_a_stream_that_ends_without_a_word_gives_what_it_held() -> None:
    stream = stream_of(Words())
    out = await sent(stream, [event({"content": "Hi"})])
    assert accumulate(out)["choices"][0]["message"]["content"] == "Hi"
    assert stream.done


async def test_the_shields_are_shown_windows_and_not_all_of_the_text_again_and_again() -> None:
    shield = Words()
    await sent(stream_of(shield), [*(event({"content": "word "}) for _ in range(400)), event(finish_reason="stop")])
    assert sum(map(len, shield.shown)) < 2.2 * 2000


async def test_calls_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded_choice, "HELD_BYTES_MAX", 1000)
    call = event({"tool_calls": [{"index": 0, "function": {"arguments": "x" * 400}}]})
    with pytest.raises(ProviderError, match="1000 bytes"):
        await sent(stream_of(Words()), [call, call, call])


async def test_closing_closes_the_model_s_stream() -> None:
    closed = []

    async def source() -> AsyncGenerator[bytes, None]:
        try:
            yield b""
            yield event({"content": "Hi"})
        finally:
            closed.append(True)

    blocks = source()
    await anext(blocks)
    guarded = guarded_blocks(blocks, stream_of(Words()))
    await anext(guarded)
    await guarded.aclose()
    assert closed == [True]
