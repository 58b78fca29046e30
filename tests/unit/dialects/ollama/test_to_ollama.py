"""What is refused by its name, and the corners of a conversation."""

from __future__ import annotations

from typing import Any

import pytest

from llama_stack.dialects.ollama.errors import error_of_event
from llama_stack.dialects.ollama.from_ollama import completion_of
from llama_stack.dialects.ollama.to_ollama import embed_request, ollama_request, wants_ollamas_own
from llama_stack_api.errors import InvalidRequest, ProviderError, UnsupportedParameter
from tests.support.ollama_upstream_contract import check_chat

FUNCTION = {"type": "function", "function": {"name": "f", "strict": True}}


def translated(**members: Any) -> dict[str, Any]:
    request = ollama_request({"model": "m", "messages": [], **members})
    check_chat(request)
    return request


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"n": 2}, "n"),
        ({"x_vendor": 0}, "x_vendor"),
        ({"prediction": {"type": "content", "content": "x"}}, "prediction"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}, "tools": [FUNCTION]}, "tool_choice"),
        ({"parallel_tool_calls": False, "tools": [FUNCTION]}, "parallel_tool_calls"),
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools"),
        ({"response_format": {"type": "grammar"}}, "response_format"),
        ({"reasoning_effort": "extreme"}, "reasoning_effort"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]}, "messages"),
    ],
)
def test_what_ollama_cannot_do_is_refused_by_name(members: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        ollama_request({"model": "m", "messages": [], **members})
    assert refused.value.param == param


def test_options_that_are_none() -> None:
    with pytest.raises(InvalidRequest, match="options"):
        ollama_request({"model": "m", "messages": [], "options": "fast"})
    with pytest.raises(UnsupportedParameter) as refused:
        embed_request({"model": "m", "input": [[1, 2]]})
    assert refused.value.param == "input"


def test_a_conversation_with_older_words() -> None:
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"x":1}'}},
        {"role": "function", "name": "f", "content": "1"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}], "reasoning": "Hm."},
    ]
    call = {"id": "function_call_1", "function": {"name": "f", "arguments": {"x": 1}}}
    assert translated(messages=messages)["messages"] == [
        {"role": "system", "content": "a\nb"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [call],
        },
        {"role": "tool", "content": "1", "tool_name": "f", "tool_call_id": "function_call_1"},
        {"role": "assistant", "content": "No.", "thinking": "Hm."},
    ]


def test_arguments_that_are_no_object_are_kept() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "half of"}}
    said = translated(messages=[{"role": "assistant", "content": "", "tool_calls": [call]}])["messages"][0]
    assert "half of" in said["tool_calls"][0]["function"]["arguments"].values()


def test_tools_are_told_without_what_ollama_does_not_know() -> None:
    assert translated(tools=[FUNCTION])["tools"] == [{"type": "function", "function": {"name": "f"}}]


def test_what_is_null_asks_for_nothing() -> None:
    assert not wants_ollamas_own({"keep_alive": None, "top_k": None, "x": 1})
    assert wants_ollamas_own({"keep_alive": 0})
    assert translated(keep_alive=None, n=None, tools=None, x_vendor=None) == {
        "model": "m",
        "messages": [],
        "stream": False,
    }


def test_calls_without_ids_get_some() -> None:
    said = {"message": {"content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}] * 2}, "done": True}
    choice = completion_of(said, id="chatcmpl-77", created=1)["choices"][0]
    assert [call["id"] for call in choice["message"]["tool_calls"]] == ["call_77_0", "call_77_1"]
    assert choice["message"]["content"] is None


def test_errors_in_lines() -> None:
    assert error_of_event({"message": {}, "done": False}, "p") is None
    error = error_of_event({"error": "llama runner sk-1 terminated"}, "p", lambda text: text.replace("sk-1", "***"))
    assert isinstance(error, ProviderError)
    assert error.message == "Provider 'p': llama runner *** terminated"
