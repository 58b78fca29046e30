"""The relay of a Messages upstream: what goes through, what is read, and what is no message."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_stack.dialects.anthropic.relay import EventRelay, relay_message
from llama_stack.dialects.openai.usage import Usage
from llama_stack_api.errors import ProviderError, ProviderStreamBroken


def event(kind: str, /, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


START = event(
    "message_start",
    message={
        "id": "msg_1",
        "model": "theirs",
        "content": [],
        "usage": {"input_tokens": 5, "cache_read_input_tokens": 2, "output_tokens": 1},
    },
)
DELTA = event("content_block_delta", index=0, delta={"type": "text_delta", "text": 'grün "model": "theirs"'})
END = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 7})
STOP = event("message_stop")
WHOLE = START + event("ping") + DELTA + END + STOP


def relayed(data: bytes, *sizes: int) -> tuple[bytes, EventRelay]:
    relay = EventRelay(provider="up", model="ours")
    out, at = [], 0
    for size in sizes:
        out.append(relay.feed(data[at : at + size]))
        at += size
    out += [relay.feed(data[at:]), relay.finish()]
    return b"".join(out), relay


@given(st.lists(st.integers(1, 40), max_size=40))
def test_only_the_name_of_the_model_changes(sizes: list[int]) -> None:
    out, relay = relayed(WHOLE, *sizes)
    head, _, rest = out.partition(b"\n\n")
    assert json.loads(head.partition(b"data: ")[2])["message"]["model"] == "ours"
    assert rest == WHOLE[len(START) :]
    assert relay.done
    assert relay.usage == Usage(7, 7)


def test_events_without_a_name_get_one_and_the_end_is_the_end() -> None:
    bare = b"\r\n".join(line for line in WHOLE.splitlines() if not line.startswith(b"event:")) + b"\r\n\r\n"
    out, _ = relayed(b": hello\n\n" + bare + b"data: [DONE]\n\n" + DELTA)
    assert out.partition(b"\n\n")[2] == WHOLE[len(START) :]


@pytest.mark.parametrize(
    "data", [START + DELTA, b"", START + b"data: <html>\n\n" + STOP, START + b'data: {"no": "type"}\n\n' + STOP]
)
def test_what_is_not_complete_or_no_event_is_an_error(data: bytes) -> None:
    with pytest.raises(ProviderStreamBroken):
        relayed(data)


def test_an_error_event_is_an_error_without_secrets() -> None:
    relay = EventRelay(provider="up", model="ours", mask=lambda said: said.replace("s3cret", "***"))
    with pytest.raises(ProviderError) as caught:
        relay.feed(START + event("error", error={"type": "overloaded_error", "message": "Too much for s3cret."}))
    assert "Too much for ***." in caught.value.message


def test_a_whole_message_is_renamed_at_its_own_member_alone() -> None:
    body = b'{"type": "message", "content": [{"input": {"model":"theirs", "n": 1e2}}], "model" : "theirs"}'
    out, usage = relay_message(body, provider="up", model="ours")
    assert b'{"model":"theirs", "n": 1e2}' in out
    assert json.loads(out)["model"] == "ours"
    assert usage is None


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"type": "message"}', b'{"type": "error", "error": {}}'])
def test_a_body_that_is_no_message(body: bytes) -> None:
    with pytest.raises(ProviderError):
        relay_message(body, provider="up", model="ours")
