"""What no translator may stumble over, whoever wrote the conversation."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from llama_stack.dialects.anthropic.to_messages import messages_request
from llama_stack.dialects.converse.to_converse import converse_request
from llama_stack.dialects.gemini.to_gemini import gemini_request
from llama_stack.dialects.oci.formats import ApiFormat
from llama_stack.dialects.oci.to_oci import oci_request
from llama_stack.dialects.ollama.to_ollama import ollama_request
from llama_stack_api.errors import UnsupportedParameter

Translate = Callable[[dict[str, Any]], Any]
TRANSLATORS: dict[str, Translate] = {
    "anthropic": lambda chat: messages_request({"model": "claude-opus-4-6", **chat}, max_tokens=100),
    "converse": lambda chat: converse_request({"model": "amazon.nova-2-lite-v1:0", **chat}).body,
    "gemini": lambda chat: gemini_request({"model": "gemini-3-flash", **chat}),
    "gemini-old": lambda chat: gemini_request({"model": "gemini-2.5-flash", **chat}),
    "ollama": lambda chat: ollama_request({"model": "llama3.2", **chat}),
    **{
        f"oci-{form}": lambda chat, form=form: oci_request({"model": "m", **chat}, api_format=form)  # type: ignore[misc]
        for form in ApiFormat
    },
}
TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("f", "g")]
every = pytest.mark.parametrize("translate", TRANSLATORS.values(), ids=TRANSLATORS.keys())


@every
def test_calls_in_older_words_and_of_custom_tools(translate: Translate) -> None:
    custom = {"id": "c1", "type": "custom", "custom": {"name": "patch", "input": "the patch"}}
    messages = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"deep": "argument"}'}},
        {"role": "function", "name": "f", "content": "one result"},
        {"role": "assistant", "content": None, "tool_calls": [custom]},
        {"role": "tool", "tool_call_id": "c1", "content": "another result"},
        {"role": "user", "content": "last"},
    ]
    sent = json.dumps(translate({"messages": messages, "tools": TOOLS}), ensure_ascii=False)
    for words in ("first", "argument", "one result", "patch", "the patch", "another result", "last"):
        assert words in sent


@every
def test_a_conversation_that_another_model_began(translate: Translate) -> None:
    thoughts = [
        {"type": "thinking", "thinking": "Foreign.", "signature": "x:c2ln"},
        {"type": "redacted_thinking", "data": "x:c2ln"},
        {"type": "thinking", "thinking": "Unsigned."},
        {"index": 0},
    ]
    call = {"id": "functions.f:0", "type": "function", "function": {"name": "f", "arguments": "half of {"}}
    messages = [
        {"role": "assistant", "content": None, "thinking_blocks": thoughts, "tool_calls": [call], "annotations": []},
        {"role": "tool", "tool_call_id": "functions.f:0", "content": ""},
        {"role": "assistant", "content": "", "reasoning_content": "Hm."},
        {"role": "user", "content": "So?"},
    ]
    sent = json.dumps(translate({"messages": messages, "tools": TOOLS}))
    assert "So?" in sent
    assert "half of" in sent
    assert "c2ln" not in sent
    assert "Unsigned." not in sent


@every
def test_what_asks_for_nothing_is_left_out(translate: Translate) -> None:
    nothing: dict[str, Any] = {
        **{"n": 1, "logprobs": False, "top_logprobs": 0, "logit_bias": {}, "verbosity": None, "modalities": ["text"]},
        **{"store": True, "metadata": {"a": "b"}, "prompt_cache_key": "k", "seed": None, "stop": []},
    }
    asked = {"messages": [{"role": "user", "content": "?"}]}
    assert translate({**asked, **nothing}) == translate(asked)


@every
def test_unknown_choices_of_tools_are_named(translate: Translate) -> None:
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": "?"}], "tools": TOOLS}
    with pytest.raises(UnsupportedParameter) as refused:
        translate({**asked, "tool_choice": {"type": "some_day"}})
    assert refused.value.param == "tool_choice"
    allowed = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "g"}}]}
    sent = json.dumps(translate({**asked, "tool_choice": {"type": "allowed_tools", "allowed_tools": allowed}}))
    assert '"g"' in sent
