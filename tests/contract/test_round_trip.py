"""A parsed request serialises to what the client sent: nothing dropped, nothing added, at any level."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from llama_stack_api.native.rerank import RerankRequest
from llama_stack_api.openai.chat import (
    AssistantMessage,
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionRequest,
    FunctionCall,
    FunctionDefinition,
    FunctionTool,
    FunctionToolCall,
    TextPart,
    ToolMessage,
    UserMessage,
)
from llama_stack_api.openai.completions import CompletionRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest

Strategy = st.SearchStrategy[Any]

text = st.text(max_size=12)
number = st.floats(0, 1, allow_nan=False)
json_value: Strategy = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(text, inner, max_size=2),
    max_leaves=4,
)
unknown = st.dictionaries(text.map(lambda name: f"x-{name}"), json_value, max_size=2)


def objects(required: dict[str, Strategy], optional: dict[str, Strategy] | None = None) -> Strategy:
    """Objects of known fields, with unknown ones beside them."""
    known = st.fixed_dictionaries(required, optional=optional or {})
    return st.builds(lambda fields, extra: {**extra, **fields}, known, unknown)


breakpoint_ = objects({"mode": st.just("explicit")})
text_part = objects({"type": st.just("text"), "text": text}, {"prompt_cache_breakpoint": breakpoint_})
part = st.one_of(
    text_part,
    objects({"type": st.just("image_url"), "image_url": objects({"url": text}, {"detail": text})}),
    objects({"type": st.just("input_audio"), "input_audio": objects({"data": text, "format": text})}),
    objects({"type": st.just("file"), "file": objects({}, {"file_id": text, "file_data": text, "filename": text})}),
    objects({"type": st.just("input_video")}, {"input_video": json_value}),
)
content = text | st.lists(part, min_size=1, max_size=3)
tool_call = st.one_of(
    objects({"id": text, "function": objects({"name": text, "arguments": text})}, {"type": st.just("function")}),
    objects({"id": text, "type": st.just("custom"), "custom": objects({"name": text, "input": text})}),
)
message = st.one_of(
    objects({"role": st.sampled_from(["system", "developer", "user"]), "content": content}, {"name": text}),
    objects(
        {"role": st.just("assistant")},
        {
            "content": st.none() | content,
            "refusal": st.none() | text,
            "reasoning_content": text,
            "audio": st.none() | objects({"id": text}),
            "tool_calls": st.none() | st.lists(tool_call, max_size=2),
            "function_call": objects({"name": text, "arguments": text}),
        },
    ),
    objects({"role": st.just("tool"), "content": content, "tool_call_id": text}),
    objects({"role": st.just("function"), "content": st.none() | text, "name": text}),
)
json_schema = st.dictionaries(text, json_value, max_size=2)
tool = st.one_of(
    objects(
        {
            "type": st.just("function"),
            "function": objects({"name": text}, {"parameters": json_schema, "strict": st.booleans()}),
        }
    ),
    objects({"type": st.just("custom"), "custom": objects({"name": text}, {"format": st.just({"type": "text"})})}),
    objects({"type": st.just("browser_search")}),
)
tool_choice = st.one_of(
    st.sampled_from(["auto", "none", "required", "any"]),
    objects({"type": st.just("function"), "function": objects({"name": text})}),
    objects(
        {
            "type": st.just("allowed_tools"),
            "allowed_tools": objects({"mode": st.just("auto"), "tools": st.lists(json_schema, max_size=2)}),
        }
    ),
)
response_format = st.one_of(
    objects({"type": st.sampled_from(["text", "json_object", "structural_tag"])}),
    objects(
        {
            "type": st.just("json_schema"),
            "json_schema": objects({"name": text}, {"schema": json_schema, "strict": st.none() | st.booleans()}),
        }
    ),
)
chat_request = objects(
    {"model": text, "messages": st.lists(message, min_size=1, max_size=4)},
    {
        "temperature": st.none() | number | st.integers(0, 2),
        "top_p": number,
        "n": st.integers(1, 128),
        "seed": st.none() | st.integers(-(2**63), 2**63 - 1),
        "stop": st.none() | text | st.lists(text, max_size=5),
        "logit_bias": st.dictionaries(text, st.integers(-100, 100) | number, max_size=2),
        "metadata": st.none() | st.dictionaries(text, text, max_size=3),
        "reasoning_effort": st.sampled_from(["low", "max", "default"]),
        "service_tier": st.sampled_from(["auto", "on_demand"]),
        "stream": st.booleans(),
        "stream_options": st.none() | objects({}, {"include_usage": st.booleans()}),
        "tools": st.none() | st.lists(tool, max_size=2),
        "tool_choice": tool_choice,
        "function_call": st.just("auto") | objects({"name": text}),
        "response_format": response_format,
        "audio": objects({"voice": text | objects({"id": text}), "format": text}),
        "prediction": objects({"type": st.just("content"), "content": text}),
        "moderation": objects({"model": text}, {"policy": st.none() | objects({})}),
        "web_search_options": objects({}, {"search_context_size": st.just("low")}),
    },
)
token_ids = st.lists(st.integers(0, 10**6), min_size=1, max_size=3)
completion_request = objects(
    {"model": text, "prompt": text | st.lists(text, max_size=2) | token_ids | st.lists(token_ids, min_size=1)},
    {"echo": st.booleans(), "logprobs": st.integers(0, 5), "suffix": st.none() | text, "max_tokens": st.integers(0, 9)},
)
embeddings_request = objects(
    {"model": text, "input": text | st.lists(text, min_size=1) | token_ids | st.lists(token_ids, min_size=1)},
    {"dimensions": st.integers(1, 4096), "encoding_format": st.sampled_from(["float", "base64"]), "user": text},
)
rerank_request = objects(
    {"model": text, "query": text, "items": st.lists(text | text_part, min_size=1)},
    {"max_num_results": st.integers(1, 9)},
)


def canonical(value: Any) -> Any:
    """JSON has one kind of number: 1 and 1.0 are the same, but 1 and true are not."""
    if isinstance(value, dict):
        return {key: canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return ("number", int(value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return ("number", value)
    return value


def assert_survives(model: type[BaseModel], sent: dict[str, Any]) -> None:
    parsed = model.model_validate_json(json.dumps(sent))
    passed_on = json.loads(parsed.model_dump_json(exclude_unset=True))
    assert canonical(passed_on) == canonical(sent)


@given(sent=chat_request)
@settings(max_examples=250, deadline=None)
def test_chat_request(sent: dict[str, Any]) -> None:
    assert_survives(ChatCompletionRequest, sent)


@given(sent=completion_request)
@settings(max_examples=100, deadline=None)
def test_completion_request(sent: dict[str, Any]) -> None:
    assert_survives(CompletionRequest, sent)


@given(sent=embeddings_request)
@settings(max_examples=100, deadline=None)
def test_embeddings_request(sent: dict[str, Any]) -> None:
    assert_survives(EmbeddingsRequest, sent)


@given(sent=rerank_request)
@settings(max_examples=100, deadline=None)
def test_rerank_request(sent: dict[str, Any]) -> None:
    assert_survives(RerankRequest, sent)


def test_what_is_made_in_python_keeps_its_role_and_type_and_gains_no_null() -> None:
    call = FunctionToolCall(id="1", function=FunctionCall(name="f", arguments="{}"))
    request = ChatCompletionRequest(
        model="m",
        messages=[
            UserMessage(content=[TextPart(text="hi")]),
            AssistantMessage(tool_calls=[call]),
            ToolMessage(content="ok", tool_call_id="1"),
        ],
        tools=[FunctionTool(function=FunctionDefinition(name="f"))],
    )
    assert request.model_dump(exclude_unset=True) == {
        "model": "m",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            {
                "role": "assistant",
                "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "content": "ok", "tool_call_id": "1"},
        ],
        "tools": [{"type": "function", "function": {"name": "f"}}],
    }


def test_a_copy_with_another_model_changes_nothing_else() -> None:
    sent = {"model": "ours/m", "messages": [{"role": "user", "content": "hi", "x": 1}], "top_k": 5, "stop": None}
    request = ChatCompletionRequest.model_validate(sent)
    assert request.model_copy(update={"model": "m"}).model_dump(exclude_unset=True) == {**sent, "model": "m"}


REPLY = {
    "id": "c1", "object": "chat.completion", "created": 1, "model": "m", "timings": {"prompt_ms": 1.5},
    "choices": [{
        "index": 0, "finish_reason": "eos_token", "stop_reason": None,
        "message": {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [
            {"id": "t", "index": 0, "function": {"name": "f", "arguments": "{}"}},
        ]},
    }],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "queue_time": 0.25},
    "x_groq": {"id": "req"},
}  # fmt: skip

CHUNK = {
    "id": "", "object": "chat.completion.chunk", "created": 1, "model": "", "choices": [
        {"index": 0, "delta": {"role": None, "content": "a", "reasoning": "b", "tool_calls": None}, "logprobs": None},
    ],
    "usage": None, "prompt_filter_results": [{"prompt_index": 0}],
}  # fmt: skip


@pytest.mark.parametrize(("model", "sent"), [(ChatCompletion, REPLY), (ChatCompletionChunk, CHUNK)])
def test_what_upstreams_add_to_replies_survives(model: type[BaseModel], sent: dict[str, Any]) -> None:
    assert_survives(model, sent)
