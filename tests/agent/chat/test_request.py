from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llama_stack.agent.chat.choice import ChatChoice, chat_choice
from llama_stack.agent.chat.request import LOGPROBS, chat_request
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.openai.responses.request import ResponseRequest
from tests.agent.chat.stream import bound

MESSAGES = [{"role": "user", "content": "Hi"}]
NO_TOOLS = ChatChoice((), None)
BARE = {"model": "m", "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}}


def body(request: dict[str, Any], choice: ChatChoice = NO_TOOLS, max_tokens: int | None = None) -> dict[str, Any]:
    made = chat_request({"model": "m", **request}, MESSAGES, choice, max_tokens=max_tokens)
    return json.loads(made.model_dump_json(exclude_unset=True))


@pytest.mark.parametrize(
    ("request_", "sent"),
    [
        ({}, {}),
        ({"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5, "top_p": 0.9}),
        ({"frequency_penalty": 0.5, "presence_penalty": -0.5}, {"frequency_penalty": 0.5, "presence_penalty": -0.5}),
        ({"frequency_penalty": 0, "presence_penalty": 0.0, "service_tier": "auto"}, {}),
        ({"service_tier": "flex", "user": "u"}, {"service_tier": "flex", "user": "u"}),
        ({"safety_identifier": "s", "prompt_cache_key": "k"}, {"safety_identifier": "s", "prompt_cache_key": "k"}),
        ({"prompt_cache_retention": "24h"}, {"prompt_cache_retention": "24h"}),
        ({"reasoning": {"effort": "high", "summary": "auto"}}, {"reasoning_effort": "high"}),
        ({"reasoning": {"effort": None}}, {}),
        ({"reasoning": None, "text": None, "tools": None}, {}),
        ({"text": {"verbosity": "low"}}, {"verbosity": "low"}),
        ({"text": {"verbosity": "medium", "format": {"type": "text"}}}, {}),
        ({"text": {"format": {"type": "json_object"}}}, {"response_format": {"type": "json_object"}}),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}}},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
                }
            },
        ),
        (
            {"text": {"format": {"type": "grammar", "grammar": "x"}}},
            {"response_format": {"type": "grammar", "grammar": "x"}},
        ),
        ({"include": [LOGPROBS], "top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
        ({"include": [LOGPROBS]}, {"logprobs": True}),
        ({"top_logprobs": 3}, {}),
        (
            {"top_k": 40, "chat_template_kwargs": {"x": 1}, "seed": 7},
            {"top_k": 40, "chat_template_kwargs": {"x": 1}, "seed": 7},
        ),
        ({"metadata": {"a": "b"}, "store": True, "background": True, "instructions": "x", "truncation": "auto"}, {}),
        ({"n": 3, "max_tokens": 1, "messages": [], "client_metadata": {"x": "y"}}, {}),
        ({"parallel_tool_calls": False, "tool_choice": "auto"}, {}),
    ],
)
def test_members(request_: dict[str, Any], sent: dict[str, Any]) -> None:
    assert body(request_) == {**BARE, **sent}


def test_tools() -> None:
    tools = list(bound({"type": "function", "name": "get", "parameters": {"type": "object"}}).values())
    choice = chat_choice("required", tools, first_round=True)
    assert body({"parallel_tool_calls": True}, choice) == {
        **BARE,
        "tools": [{"type": "function", "function": {"name": "get", "parameters": {"type": "object"}}}],
        "tool_choice": "required",
        "parallel_tool_calls": True,
    }
    assert "tool_choice" not in body({}, chat_choice("auto", tools, first_round=True))


def test_max_tokens() -> None:
    assert body({"max_output_tokens": 100}, max_tokens=60)["max_completion_tokens"] == 60
    assert "max_completion_tokens" not in body({"max_output_tokens": 100})


@pytest.mark.parametrize(
    ("request_", "param"), [({"seed": "x"}, "seed"), ({"stop": 7}, "stop"), ({"logit_bias": []}, "logit_bias")]
)
def test_what_no_completion_can_be_is_refused(request_: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        body(request_)
    assert caught.value.param is not None
    assert caught.value.param.startswith(param)


def test_nothing_to_answer_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        chat_request({"model": "m"}, [], NO_TOOLS, max_tokens=None)
    assert caught.value.param == "input"


def maybe(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=members)


REQUESTS = maybe(
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    frequency_penalty=st.floats(-2, 2),
    service_tier=st.sampled_from(["auto", "default", "flex"]),
    reasoning=st.none() | maybe(effort=st.sampled_from([None, "low", "none"]), summary=st.just("auto")),
    text=st.none()
    | maybe(
        verbosity=st.sampled_from([None, "low", "medium"]),
        format=st.sampled_from(
            [{"type": "text"}, {"type": "json_object"}, {"type": "json_schema", "name": "n", "schema": {}}]
        ),
    ),
    include=st.none() | st.lists(st.sampled_from([LOGPROBS, "reasoning.encrypted_content"])),
    top_logprobs=st.none() | st.integers(0, 20),
    parallel_tool_calls=st.none() | st.booleans(),
    tool_choice=st.sampled_from([None, "auto", "none", "required", {"type": "function", "name": "get"}]),
    metadata=st.just({"a": "b"}),
    conversation=st.just("conv_1"),
    top_k=st.integers(1, 100),
)


@settings(max_examples=100, deadline=None)
@given(request=REQUESTS, with_tools=st.booleans(), first=st.booleans(), max_tokens=st.none() | st.integers(1, 100))
def test_every_response_makes_a_completion(
    request: dict[str, Any], with_tools: bool, first: bool, max_tokens: int | None
) -> None:
    ResponseRequest.model_validate({"model": "m", **request})
    tools = list(bound({"type": "function", "name": "get"}).values())
    choice = chat_choice(request.get("tool_choice"), tools, first_round=first) if with_tools else NO_TOOLS
    sent = body(request, choice, max_tokens)
    assert ChatCompletionRequest.model_validate(sent).stream
    unknown = set(sent) - set(ChatCompletionRequest.model_fields) - {"top_k"}
    assert not unknown
    assert None not in sent.values()
    assert ("tools" in sent) == with_tools
    assert with_tools or not {"tool_choice", "parallel_tool_calls"} & set(sent)
