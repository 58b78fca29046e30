"""What upstreams send that OpenAI does not: each stream here is one that some server has been seen to send."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_stack.dialects.openai import sse
from llama_stack.dialects.openai.accumulate import accumulate
from llama_stack.dialects.openai.relay import StreamRelay
from llama_stack.dialects.openai.reply import relay_reply
from llama_stack.dialects.openai.usage import Usage
from llama_stack_api.errors import ProviderError, ProviderStreamBroken
from tests.unit.dialects.test_relay import (
    OUR_MODEL,
    UPSTREAM_MODEL,
    chunk,
    events,
    new_relay,
    run,
    split,
    usage_chunk,
    wire,
)

FINISH = chunk(finish="stop")


def without(chunk: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in chunk.items() if name not in names}


PROMPT_FILTER = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": [{}]}
"""The first chunk of Azure."""

deltas = st.sampled_from(
    [
        {"role": "assistant", "content": ""},
        {"content": 'say "model":"m" 🦙\n\ndata: [DONE]\n\n'},
        {"content": None, "refusal": "no"},
        {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": '{"model":"llama3.2:3b"}'}}]},
        {},
    ]
)
ends = st.sampled_from([None, "", "stop", "length", "tool_calls"])
logprobs: st.SearchStrategy[Any] = st.sampled_from(
    [None, {"content": [{"token": "a", "logprob": -0.5, "bytes": None, "top_logprobs": []}]}]
)
choices = st.lists(
    st.builds(
        lambda index, delta, end, probability: {
            "index": index,
            "delta": delta,
            "finish_reason": end,
            "logprobs": probability,
        },
        st.integers(0, 3),
        deltas,
        ends,
        logprobs,
    ),
    max_size=3,
)
upstream_models = st.sampled_from([UPSTREAM_MODEL, "", "meta/llama", "möd", None, OUR_MODEL])
counts = st.sampled_from([None, {"prompt_tokens": 3, "completion_tokens": 5}])


def odd_chunk(model: str | None, choices: list[Any], usage: Any) -> dict[str, Any]:
    named = {"id": "c", "model": model, "choices": choices, "usage": usage}
    return without(named, *(["model"] if model is None else []))


def written(chunk: dict[str, Any], style: str) -> bytes:
    """JSON as different libraries write it."""
    text = msgspec.json.encode(chunk)
    if style == "spaced":
        text = text.replace(b'"model":', b'"model" : ')
    elif style == "slashes":
        text = text.replace(b"meta/llama", rb"meta\/llama")
    elif style == "indented":
        return b"".join(b"data: " + line + b"\n" for line in msgspec.json.format(text).splitlines()) + b"\n"
    return sse.encode(text)


@given(
    chunks=st.lists(st.builds(odd_chunk, upstream_models, choices, counts), min_size=1, max_size=6),
    style=st.sampled_from(["plain", "spaced", "slashes", "indented"]),
    before=st.sampled_from(
        [b"", b": ping\n\n", b"\xef\xbb\xbf", b"retry: 3000\n\n", b"\n\n", b"id: 1\nevent: chunk\n"]
    ),
    line_end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    after=st.sampled_from([b"", b": bye\n\n", b'data: {"error":{"message":"late"}}\n\n', b"data: {oops\n\n"]),
    cuts=st.lists(st.integers(0, 20_000), max_size=8),
    keep_usage=st.booleans(),
    identifier=st.sampled_from([None, "chatcmpl-ours"]),
)
def test_odd_streams_arrive_whole_and_under_our_model(
    chunks: list[dict[str, Any]],
    style: str,
    before: bytes,
    line_end: bytes,
    after: bytes,
    cuts: list[int],
    keep_usage: bool,
    identifier: str | None,
) -> None:
    chunks = [*chunks, FINISH]
    stream = before + b"".join(written(chunk, style) for chunk in chunks) + sse.DONE + after
    relay = StreamRelay(provider="up", model=OUR_MODEL, keep_usage=keep_usage, identifier=identifier)

    out = run(relay, split(stream.replace(b"\n", line_end), cuts))

    kept = [c for c in chunks if c["choices"] or keep_usage or c.get("usage") is None]
    ours = {"model": OUR_MODEL} if identifier is None else {"model": OUR_MODEL, "id": identifier}
    assert events(out) == [*({**c, **ours} for c in kept), b"[DONE]"]
    assert relay.usage == (Usage(3, 5) if any(c.get("usage") for c in chunks) else None)
    accumulate(out)


@given(
    finished=st.lists(st.booleans(), min_size=1, max_size=4),
    late_usage=st.booleans(),
    cuts=st.lists(st.integers(0, 5_000), max_size=5),
)
def test_without_done_each_begun_choice_must_have_finished(
    finished: list[bool], late_usage: bool, cuts: list[int]
) -> None:
    begun = [{"index": place, "delta": {"content": "x"}, "finish_reason": ""} for place in range(len(finished))]
    ended = [{"index": place, "delta": {}, "finish_reason": "stop"} for place, end in enumerate(finished) if end]
    chunks = [{**FINISH, "choices": [choice]} for choice in (*begun, *ended)]
    if late_usage and finished[0]:
        # Some servers repeat the first choice, empty, in the chunk that carries the usage.
        chunks.append({**chunk(""), "usage": {"prompt_tokens": 1, "completion_tokens": 1}})
    relay = new_relay()
    parts = split(wire(*chunks, done=False), cuts)
    if all(finished):
        assert run(relay, parts).endswith(sse.DONE)
    else:
        with pytest.raises(ProviderStreamBroken):
            run(relay, parts)


def test_the_model_is_ours_in_every_chunk_of_an_azure_stream() -> None:
    out = run(new_relay(), [wire(PROMPT_FILTER, done=False), wire(chunk("a"), FINISH, usage_chunk())])
    assert [event["model"] for event in events(out)[:-1]] == [OUR_MODEL] * 3


@pytest.mark.parametrize(
    "rubbish",
    [
        b'data: {"detail": "oops"}\n\n',
        b'event: error\ndata: {"message": "boom", "code": 500}\n\n',
        b'data: {"choices": null, "usage": null}\n\n',
        b'data: {"choices": [], "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n\n",
    ],
)
def test_an_event_that_is_no_chunk_is_an_error_even_before_done(rubbish: bytes) -> None:
    for first in (b"", wire(chunk("a"), done=False)):
        relay = new_relay()
        with pytest.raises(ProviderStreamBroken):
            run(relay, [first + rubbish, wire(FINISH)])
        assert not relay.done


@pytest.mark.parametrize("stream", [sse.DONE, b": ping\n\n" + sse.DONE, wire(PROMPT_FILTER), wire(usage_chunk())])
def test_a_stream_without_an_answer_is_not_complete(stream: bytes) -> None:
    relay = new_relay()
    with pytest.raises(ProviderStreamBroken, match="without an answer"):
        run(relay, [stream])
    assert not relay.done


def test_bytes_that_are_no_utf_8_are_an_error_where_they_must_be_read() -> None:
    bad = b'data: {"choices": [{"index": 0, "delta": {"content": "\xff"}, "finish_reason": "stop"}]}\n\n'
    with pytest.raises(ProviderStreamBroken):
        run(StreamRelay(provider="up", model="m", keep_usage=False, identifier="i"), [bad])
    with pytest.raises(ProviderError):
        relay_reply(b'{"choices": [{"text": "\xff"}]}', provider="up", model="m")
    with pytest.raises(ProviderError):
        relay_reply(b'{"choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", provider="up", model="m")


def test_the_model_of_a_whole_reply_is_not_that_of_something_within_it() -> None:
    body, _ = relay_reply(b'{"choices":[{"note":{"model":"m"}}],"model":"m"}', provider="up", model="ours")
    assert msgspec.json.decode(body) == {"choices": [{"note": {"model": "m"}}], "model": "ours"}


# --- the completion that a stream amounts to


def call_delta(index: Any, **call: Any) -> dict[str, Any]:
    return {**FINISH, "choices": [{"index": 0, "delta": {"tool_calls": [{"index": index, **call}]}}]}


def test_later_pieces_of_a_call_do_not_empty_its_name() -> None:
    first = call_delta(0, id="a", type="function", function={"name": "f", "arguments": '{"x"'})
    later = call_delta(0, id="", type="", function={"name": "", "arguments": ":1}"})
    message = accumulate(wire(first, later))["choices"][0]["message"]
    assert message["tool_calls"] == [{"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}]


@pytest.mark.parametrize("index", [None, -1, 10**15, "0"])
def test_calls_with_a_strange_index_are_kept(index: Any) -> None:
    message = accumulate(wire(call_delta(index, id="a"), call_delta(index, id="b")))["choices"][0]["message"]
    assert message["tool_calls"][-1]["id"] == "b"
    assert len(message["tool_calls"]) <= 2


@pytest.mark.parametrize(
    "choice",
    [{"delta": "x"}, {"delta": None}, {"delta": {"tool_calls": "x"}}, {"delta": {}, "logprobs": [1]}, {}],
)
def test_what_is_of_the_wrong_kind_is_read_over(choice: dict[str, Any]) -> None:
    stream = wire(chunk("a"), {**FINISH, "choices": [{"index": 0, **choice}]}, {"choices": None, "usage": {}})
    assert accumulate(stream)["choices"][0]["message"]["content"] == "a"


def test_lists_that_grow_from_chunk_to_chunk_are_kept_whole() -> None:
    """Several thoughts of one answer, each with its signature; and citations as they come."""
    thoughts = [{"type": "thinking", "thinking": word, "signature": word} for word in ("first", "second")]
    parts = [{**chunk(), "choices": [{"index": 0, "delta": {"thinking_blocks": [each]}}]} for each in thoughts]
    whole = accumulate(wire(*parts, FINISH))
    assert whole["choices"][0]["message"]["thinking_blocks"] == thoughts
