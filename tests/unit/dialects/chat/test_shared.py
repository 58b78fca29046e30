"""What all translators read and write alike."""

from __future__ import annotations

from typing import Any

import pytest

from llama_stack.dialects.chat.chunks import ChunkHead, numbered
from llama_stack.dialects.chat.completions import count, token_logprob, usage_members
from llama_stack.dialects.chat.history import with_function_calls
from llama_stack.dialects.chat.requests import limit_of, offered_tools, refuse_unknown, stops_of
from llama_stack_api.errors import UnsupportedParameter


def test_calls_of_all_kinds_become_those_of_functions() -> None:
    called = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    custom = {"id": "c2", "type": "custom", "custom": {"name": "patch", "input": 'a "b"'}}
    messages: list[Any] = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "tool_calls": [called, custom]},
        {"role": "assistant", "function_call": {"name": "g", "arguments": "{}"}},
        {"role": "function", "name": "g", "content": "1"},
        {"role": "assistant", "function_call": {"name": "h", "arguments": "{}"}},
        {"role": "function", "name": "h", "content": "2"},
    ]
    told = with_function_calls(messages)
    assert told[0] is messages[0]
    patch = {"id": "c2", "type": "function", "function": {"name": "patch", "arguments": '{"input":"a \\"b\\""}'}}
    assert told[1]["tool_calls"] == [called, patch]
    assert [message["tool_calls"][0]["id"] for message in (told[2], told[4])] == ["function_call_1", "function_call_2"]
    assert [(message["role"], message["tool_call_id"]) for message in (told[3], told[5])] == [
        ("tool", "function_call_1"),
        ("tool", "function_call_2"),
    ]
    assert with_function_calls(None) == []


@pytest.mark.parametrize("nested", [True, False])
def test_allowed_tools_are_those_that_are_offered(nested: bool) -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in ("a", "b")]
    allowed: dict[str, Any] = {"mode": "required", "tools": [{"type": "function", "function": {"name": "b"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed} if nested else {"type": "allowed_tools", **allowed}
    assert offered_tools({"tools": tools, "tool_choice": choice}) == (tools[1:], "required")
    assert offered_tools({"tools": tools, "tool_choice": "none"}) == (tools, "none")
    assert offered_tools({}) == ([], None)


def test_what_asks_for_nothing_is_not_refused() -> None:
    refuse_unknown({"model": "m", "n": 1, "logit_bias": {}, "seed": None, "service_tier": "default"}, {"model"}, "It")
    with pytest.raises(UnsupportedParameter, match="It has no 'n'") as refused:
        refuse_unknown({"n": 2}, (), "It")
    assert refused.value.param == "n"
    with pytest.raises(UnsupportedParameter, match="'x_own'"):
        refuse_unknown({"x_own": False}, (), "It")


def test_limits_and_stops() -> None:
    assert limit_of({"max_tokens": 3, "max_completion_tokens": 4}) == 4
    assert limit_of({"max_tokens": 3}) == 3
    assert limit_of({}) is None
    assert [stops_of({"stop": stop}) for stop in ("a", ["a", "b"], [], None)] == [["a"], ["a", "b"], None, None]


def test_chunks_have_one_head() -> None:
    head = ChunkHead(id="", model="m", created=1)
    head.id, head.members = "c", {"service_tier": "flex"}
    members = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "service_tier": "flex"}
    delta = {"annotations": numbered([{"type": "a"}], 2)}
    assert head.chunk(delta, index=1, finish_reason="stop") == {
        **members,
        "choices": [
            {
                "index": 1,
                "delta": {"annotations": [{"index": 2, "type": "a"}]},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
    }
    assert head.usage({"total_tokens": 1}) == {**members, "choices": [], "usage": {"total_tokens": 1}}


def test_counts_that_are_none_are_nothing() -> None:
    counts = {"a": 3, "b": -1, "c": float("inf"), "d": "4", "e": float("nan"), "f": 2.0}
    assert [count(counts, name) for name in "abcdefg"] == [3, 0, 0, 0, 0, 2, 0]
    usage = usage_members(5, 7, cached=2, thought=3, audio_tokens=1)
    assert usage["total_tokens"] == 12
    assert usage["prompt_tokens_details"] == {"cached_tokens": 2, "audio_tokens": 1}
    assert token_logprob("é", None) == {"token": "é", "logprob": 0.0, "bytes": [195, 169]}
