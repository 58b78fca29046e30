"""What a chat request may hold: strict where the contract is plain, open where providers extend it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from llama_stack_api.openai.chat import (
    AssistantMessage,
    ChatCompletionChunk,
    ChatCompletionRequest,
    ResponseFormatJsonSchema,
    UserMessage,
)
from llama_stack_api.openai.chat_tools import FunctionToolChoice, OtherResponseFormat, OtherTool

ASK = {"role": "user", "content": "hi"}


def parse(**fields: Any) -> ChatCompletionRequest:
    return ChatCompletionRequest.model_validate({"model": "m", "messages": [ASK], **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": []},
        {"messages": [{"role": "wizard", "content": "hi"}]},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "user", "content": []}]},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        {"messages": [{"role": "user", "content": [{"text": "no type"}]}]},
        {"model": None},
        {"temperature": 2.1},
        {"temperature": -0.1},
        {"temperature": "0.7"},
        {"top_p": 1.5},
        {"frequency_penalty": -3},
        {"presence_penalty": 3},
        {"top_logprobs": 21},
        {"n": 0},
        {"n": 129},
        {"n": True},
        {"max_tokens": 1.5},
        {"max_completion_tokens": "10"},
        {"stream": "true"},
        {"seed": 2**63},
        {"stop": 7},
        {"metadata": {"k": 1}},
        {"metadata": {"k" * 65: "v"}},
        {"metadata": {f"k{i}": "v" for i in range(17)}},
        {"safety_identifier": "x" * 65},
        {"tools": [{"type": "function"}]},
        {"tools": [{"type": "function", "function": {"description": "nameless"}}]},
        {"tool_choice": {"type": "function"}},
        {"response_format": {"type": "json_schema"}},
        {"functions": []},
        {"prediction": {"type": "content", "content": []}},
    ],
)
def test_what_the_contract_forbids_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        parse(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"service_tier": "on_demand"},
        {"reasoning_effort": "default"},
        {"tool_choice": "any"},
        {"stop": ["a", "b", "c", "d", "e"]},
        {"top_k": 40, "min_p": 0.1, "guided_json": {"type": "object"}, "chat_template_kwargs": {"thinking": False}},
        {"user": None, "tools": None, "response_format": None, "stream": None},
        {"logit_bias": {"50256": -100, "7": 0.5}},
        {"messages": [{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}]},
        {"messages": [{"role": "assistant", "reasoning_content": "hm", "content": None}, ASK]},
    ],
)
def test_what_providers_add_passes(fields: dict[str, Any]) -> None:
    assert parse(**fields).model_dump(exclude_unset=True) == {"model": "m", "messages": [ASK], **fields}


def test_members_of_unions_are_found_by_their_type() -> None:
    request = parse(
        messages=[
            {"role": "user", "content": [
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": "u"}},
                {"type": "input_video", "input_video": {"url": "v"}},
            ]},
            {"role": "assistant", "tool_calls": [
                {"id": "1", "function": {"name": "f", "arguments": "{}"}},
                {"id": "2", "type": "custom", "custom": {"name": "c", "input": "i"}},
                {"id": "3", "type": "builtin"},
            ]},
        ],
        tools=[{"type": "browser_search"}],
        tool_choice={"type": "function", "function": {"name": "f"}},
        response_format={"type": "structural_tag", "structures": []},
    )  # fmt: skip
    user, assistant = request.messages
    assert isinstance(user, UserMessage)
    assert isinstance(assistant, AssistantMessage)
    assert [type(part).__name__ for part in user.content] == ["TextPart", "ImagePart", "OtherPart"]
    assert [type(call).__name__ for call in assistant.tool_calls or ()] == [
        "FunctionToolCall", "CustomToolCall", "OtherToolCall",
    ]  # fmt: skip
    assert isinstance((request.tools or [])[0], OtherTool)
    assert isinstance(request.tool_choice, FunctionToolChoice)
    assert isinstance(request.response_format, OtherResponseFormat)


def test_an_error_names_the_place_once() -> None:
    with pytest.raises(ValidationError) as caught:
        parse(messages=[{"role": "user", "content": "x", "name": 7}])
    assert [error["loc"] for error in caught.value.errors()] == [("messages", 0, "user", "name")]


def test_the_schema_of_a_response_format_goes_by_its_wire_name() -> None:
    request = parse(response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}})
    assert isinstance(request.response_format, ResponseFormatJsonSchema)
    assert request.response_format.json_schema.schema_ == {"type": "object"}
    assert '"schema":{"type":"object"}' in request.model_dump_json(exclude_unset=True)


def test_no_access_to_a_field_warns() -> None:
    request = parse(max_tokens=5)  # deprecated in the contract, in use everywhere
    assert [getattr(request, name) for name in ChatCompletionRequest.model_fields].count(5) == 1


def test_a_chunk_with_fractional_time_and_unknown_reason_is_read() -> None:
    chunk = ChatCompletionChunk.model_validate(
        {"id": "1", "created": 12.5, "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "eos"}]}
    )
    assert chunk.created == 12
    assert chunk.choices[0].finish_reason == "eos"
