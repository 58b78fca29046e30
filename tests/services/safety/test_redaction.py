"""Redaction: what a shield takes out of a text is in nothing that goes on, however the text comes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llama_stack.agent.entries import ModelCall
from llama_stack.agent.guardrails import Guardrails, Standing, Windows
from llama_stack.agent.ports import Violation
from llama_stack.config.resources import ShieldEntry
from llama_stack.dialects.openai import sse
from llama_stack.dialects.openai.accumulate import accumulate
from llama_stack.providers.safety.pii import Pii
from llama_stack.services.safety.guarded_reply import guarded_reply
from llama_stack.services.safety.guarded_stream import GuardedStream
from llama_stack.services.safety.shields import ShieldRouter
from llama_stack_api.principal import Call
from tests.providers.safety.local import opened

pytestmark = pytest.mark.anyio

EMAIL = "jane.roe@mail.example.com"
CARD = "4111 1111 1111 1111"
KEY = "sk-proj-a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6"
SECRETS = {EMAIL: "[EMAIL]", CARD: "[CREDIT_CARD]", KEY: "[API_KEY]"}
SMALL = Windows(first_chars=16, chars_max=64, overlap_chars=64, whole_chars_max=1024, margin_chars=48)


@pytest.fixture
async def shields() -> AsyncIterator[ShieldRouter]:
    entries = [{"shield_id": "pii", "provider_id": "pii"}, {"shield_id": "ips", "provider_id": "pii"}]
    entries[1]["params"] = {"entities": ["IP_ADDRESS"]}  # type: ignore[assignment]
    entries[0]["params"] = {"entities": ["EMAIL", "CREDIT_CARD", "API_KEY"]}  # type: ignore[assignment]
    async with opened(Pii, action="redact") as pii:
        yield ShieldRouter([ShieldEntry.model_validate(each) for each in entries], {"pii": pii.impl})


def rails_of(shields: ShieldRouter, *ids: str, windows: Windows | None = None) -> Guardrails:
    ids = ids or ("pii",)
    return Guardrails(shields, (), Call(), standing=Standing(ids, ids), windows=windows)


async def unopened() -> ShieldRouter:
    async with opened(Pii, action="redact", entities=["EMAIL", "CREDIT_CARD", "API_KEY"]) as pii:
        return ShieldRouter([ShieldEntry(shield_id="pii", provider_id="pii")], {"pii": pii.impl})


def redacted(text: str) -> str:
    for secret, left in SECRETS.items():
        text = text.replace(secret, left)
    return text


WORDS = st.lists(st.sampled_from([*SECRETS, "hello", "a", "garden of roses", "\n", "日本", "x" * 40]), max_size=40)


@given(WORDS, st.lists(st.integers(1, 60), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
async def test_a_text_in_pieces_is_redacted_like_the_whole(words: list[str], sizes: list[int]) -> None:
    text, at, shown = " ; ".join(words), 0, ""
    guard = rails_of(await unopened(), windows=SMALL).output()
    while at < len(text):
        for size in sizes:
            released = await guard.feed(text[at : at + size])
            assert isinstance(released, str)
            shown, at = shown + released, at + size
            assert not any(secret[:4] in shown for secret in SECRETS), "not even its beginning"
    rest = await guard.finish()
    assert isinstance(rest, str)
    assert shown + rest == redacted(text)


async def test_each_shield_sees_what_the_one_before_left(shields: ShieldRouter) -> None:
    rails = rails_of(shields, "pii", "ips")
    assert await rails.answer(f"{EMAIL} at 10.20.30.40") == "[EMAIL] at [IP_ADDRESS]"
    clean = [{"role": "user", "content": "Hello"}]
    assert await rails.input(clean) is clean


async def test_all_that_a_model_is_shown(shields: ShieldRouter) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": json.dumps({"to": EMAIL, "n": 1})}}
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": f"I am {EMAIL}"},
        {"role": "user", "content": [{"type": "text", "text": f"pay {CARD}"}, {"type": "text", "text": "fine"}]},
        {"role": "assistant", "content": None, "reasoning_content": EMAIL, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": f"key {KEY}"},
    ]
    left = await rails_of(shields).input(messages)
    assert not isinstance(left, Violation)
    assert left[0]["content"] == "I am [EMAIL]"
    assert [part["text"] for part in left[1]["content"]] == ["pay [CREDIT_CARD]", "fine"]
    assert left[2]["reasoning_content"] == "[EMAIL]"
    assert json.loads(left[2]["tool_calls"][0]["function"]["arguments"]) == {"to": "[EMAIL]", "n": 1}
    assert left[3] == {"role": "tool", "tool_call_id": "c", "content": "key [API_KEY]"}


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        ({"a": [{"b": f"x\n{EMAIL}"}], "c": True}, {"a": [{"b": "x\n[EMAIL]"}], "c": True}),
        ({"card": 4111111111111111, "n": 2}, {"card": "[CREDIT_CARD]", "n": 2}),
        ({"password": "x1y2z3w4v5u6"}, {"password": "[API_KEY]"}),
    ],
)
async def test_arguments_stay_json(shields: ShieldRouter, arguments: Any, left: Any) -> None:
    made = await rails_of(shields).arguments(ModelCall("c", "f", json.dumps(arguments)))
    assert isinstance(made, ModelCall)
    assert json.loads(made.arguments) == left


async def test_what_cannot_be_redacted_is_blocked(shields: ShieldRouter) -> None:
    made = await rails_of(shields).arguments(ModelCall("c", "f", json.dumps({EMAIL: 1})))
    assert isinstance(made, Violation)
    assert EMAIL not in made.message


async def test_a_result_of_parts(shields: ShieldRouter) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    left = await rails_of(shields).result(ModelCall("c", "f", "{}"), [image, {"type": "text", "text": EMAIL}])
    assert left == [{"type": "text", "text": "[EMAIL]"}, image]
    long = f"{'word ' * 2000}{CARD}{' word' * 2000}"
    assert await rails_of(shields).result(ModelCall("c", "f", "{}"), long) == redacted(long)


async def test_a_whole_reply(shields: ShieldRouter) -> None:
    calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": json.dumps({"to": EMAIL})}}]
    message = {"role": "assistant", "content": f"to {EMAIL}", "audio": {"transcript": EMAIL}, "tool_calls": calls}
    tokens = {"content": [{"token": f"to {EMAIL}", "logprob": -1, "top_logprobs": []}]}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": tokens}
    body = await guarded_reply(json.dumps({"id": "x", "choices": [choice]}).encode(), rails_of(shields))
    assert EMAIL.encode() not in body
    [left] = json.loads(body)["choices"]
    assert (left["message"]["content"], left["message"]["audio"], left["logprobs"]) == ("to [EMAIL]", None, None)
    assert left["finish_reason"] == "stop"
    assert json.loads(left["message"]["tool_calls"][0]["function"]["arguments"]) == {"to": "[EMAIL]"}


def event(delta: dict[str, Any], **members: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": None, **members}
    return sse.encode(json.dumps({"id": "c", "model": "m", "choices": [choice]}).encode())


def said(texts: Sequence[str]) -> list[bytes]:
    return [
        event({"content": text}, logprobs={"content": [{"token": text, "logprob": -1, "bytes": None}]})
        for text in texts
    ]


async def test_a_stream(shields: ShieldRouter) -> None:
    text = f"{'All is well in the garden. ' * 40}{EMAIL} and {CARD}. {'All is well. ' * 60}"
    function = {"name": "f", "arguments": '{"to": "jane.roe@'}
    events = [
        *said([text[at : at + 7] for at in range(0, len(text), 7)]),
        event({"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": function}]}),
        event({"tool_calls": [{"index": 0, "function": {"arguments": 'mail.example.com"}'}}]}),
        event({}, finish_reason="tool_calls"),
        sse.DONE,
    ]
    stream = GuardedStream(rails_of(shields), chat=True)
    blocks = [await stream.feed(each) for each in events]
    out = b"".join(blocks)
    assert sum(map(bool, blocks)) > 3, "it comes while it is written"
    assert b"jane" not in out
    assert b"4111" not in out
    [choice] = accumulate(out)["choices"]
    assert choice["message"]["content"] == redacted(text)
    assert json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"]) == {"to": "[EMAIL]"}
    assert choice["finish_reason"] == "tool_calls"
