"""The stream relay, by property: however the network splits a stream, the client gets the same events."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_stack.dialects.openai import sse
from llama_stack.dialects.openai.relay import StreamRelay
from llama_stack.dialects.openai.reply import relay_reply
from llama_stack.dialects.openai.usage import Usage
from llama_stack_api.errors import ProviderError, ProviderStreamBroken, RateLimited

UPSTREAM_MODEL = "llama3.2:3b"
OUR_MODEL = "ollama/llama3.2:3b"


def chunk(content: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": UPSTREAM_MODEL,
        "choices": [choice],
        **more,
    }


def usage_chunk() -> dict[str, Any]:
    return {**chunk(), "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}}


def wire(*chunks: dict[str, Any], done: bool = True) -> bytes:
    return b"".join(sse.encode(msgspec.json.encode(c)) for c in chunks) + (sse.DONE if done else b"")


def new_relay(keep_usage: bool = False) -> StreamRelay:
    return StreamRelay(provider="up", model=OUR_MODEL, keep_usage=keep_usage)


def run(relay: StreamRelay, parts: list[bytes]) -> bytes:
    return b"".join([*map(relay.feed, parts), relay.finish()])


def events(stream: bytes) -> list[Any]:
    datas = [sse.data_of(event) for event in stream.split(b"\n\n") if event]
    return [data if data == b"[DONE]" else msgspec.json.decode(data) for data in datas]


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


texts = st.text(max_size=40) | st.just('"model":"llama3.2:3b"') | st.just("data: [DONE]\n\n")


@given(
    contents=st.lists(texts, min_size=1, max_size=8),
    cuts=st.lists(st.integers(0, 10_000), max_size=12),
    keep_usage=st.booleans(),
    line_end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    comments=st.booleans(),
)
def test_splits_change_nothing(
    contents: list[str], cuts: list[int], keep_usage: bool, line_end: bytes, comments: bool
) -> None:
    chunks = [*(chunk(content) for content in contents), chunk(finish="stop"), usage_chunk()]
    stream = wire(*chunks)
    if comments:
        stream = b": keep-alive\n\n" + stream
    relay = new_relay(keep_usage)

    out = run(relay, split(stream.replace(b"\n", line_end), cuts))

    expected = [{**c, "model": OUR_MODEL} for c in (chunks if keep_usage else chunks[:-1])]
    assert events(out) == [*expected, b"[DONE]"]
    assert relay.usage == Usage(3, 5)
    assert relay.done


def test_a_stream_without_done_is_complete_when_every_choice_has_finished() -> None:
    out = run(new_relay(), [wire(chunk("a"), chunk(finish="stop"), done=False)])
    assert out.endswith(sse.DONE)


@pytest.mark.parametrize("keep", range(1, len(wire(chunk("abc"), chunk("def")))))
def test_a_cut_stream_never_looks_complete(keep: int) -> None:
    relay = new_relay()
    with pytest.raises(ProviderStreamBroken):
        run(relay, [wire(chunk("abc"), chunk("def"))[:keep]] if keep < 300 else [wire(chunk("abc"), done=False)])
    assert not relay.done


@pytest.mark.parametrize(
    "rubbish", [b"data: {oops\n\n", b"data: 7\n\n", b'data: {"choices": 3}\n\n', b"data: <html>\n\n"]
)
def test_rubbish_is_an_error(rubbish: bytes) -> None:
    with pytest.raises(ProviderStreamBroken):
        run(new_relay(), [wire(chunk("a"), done=False) + rubbish + wire()])


def test_an_error_event_is_the_error_that_it_says() -> None:
    relay = new_relay()
    with pytest.raises(ProviderError) as caught:
        run(relay, [wire(chunk("a"), done=False), b'data: {"error": {"message": "CUDA died", "type": "server"}}\n\n'])
    assert "CUDA died" in caught.value.message
    with pytest.raises(RateLimited):
        run(new_relay(), [b'data: {"error": {"message": "slow down", "code": 429}}\n\n'])


def test_a_foreign_model_id_with_spaces_and_escapes_is_renamed() -> None:
    relay = new_relay()
    out = run(relay, [b'data: {"model": "llama3.2:3b", "choices": [{"index": 0}]}\n\n' + sse.DONE])
    assert events(out)[0]["model"] == OUR_MODEL


def test_an_endless_event_is_refused() -> None:
    splitter = sse.EventSplitter(event_bytes_max=100)
    for _ in range(5):
        assert splitter.feed(b"data: 1234567890") == b""
    with pytest.raises(ValueError, match="larger than 100"):
        splitter.feed(b"x" * 30)


def test_without_done_every_answer_that_was_asked_for_must_have_finished() -> None:
    relay = StreamRelay(provider="up", model=OUR_MODEL, keep_usage=False, choices=2)
    with pytest.raises(ProviderStreamBroken):
        run(relay, [wire(chunk("a"), chunk(finish="stop"), done=False)])


def test_secrets_are_taken_out_of_what_the_upstream_says() -> None:
    relay = StreamRelay(
        provider="up", model=OUR_MODEL, keep_usage=False, mask=lambda text: text.replace("sk-secret", "***")
    )
    with pytest.raises(ProviderError) as caught:
        relay.feed(b'data: {"error": {"message": "no quota for sk-secret"}}\n\n')
    assert "***" in caught.value.message
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize("body", [b'{"choices": []}', b'{"choices": [1]}', b'{"data": {}}', b"{}", b"[]", b"<html>"])
def test_a_whole_reply_without_an_answer_is_an_error(body: bytes) -> None:
    with pytest.raises(ProviderError):
        relay_reply(body, provider="up", model=OUR_MODEL)
