"""Requests in Anthropic's words go on as they came, known or not, and the `anthropic` package reads our replies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types import ErrorResponse as SDKErrorResponse
from anthropic.types import Message as SDKMessage
from anthropic.types import ModelInfo as SDKModelInfo
from anthropic.types import RawMessageStreamEvent
from anthropic.types.messages import DeletedMessageBatch as SDKDeleted
from anthropic.types.messages import MessageBatch as SDKBatch
from anthropic.types.messages import MessageBatchIndividualResponse as SDKResult
from pydantic import BaseModel, TypeAdapter, ValidationError

from llama_stack_api.anthropic import batches, blocks, content, errors, events, messages, models, tools

FREE = {"x": [1, {"y": None}]}
CACHED = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
ASKED: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 64,
    "system": [{"type": "text", "text": "Be brief.", **CACHED}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?", **CACHED},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
                {"type": "image", "source": {"type": "file", "file_id": "file-1"}},
                {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "a"}]}},
                {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "b"}]},
                {"type": "block_of_next_year", **FREE},
            ],
        },
        {"role": "system", "content": "Mind the gap.", "output_config": {"effort": "medium"}},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "AA=="},
                {"type": "tool_use", "id": "1", "name": "look", "input": {"at": 1.5}},
                {"type": "server_tool_use", "id": "2", "name": "web_search", "input": {"query": "q"}},
                {"type": "web_search_tool_result", "tool_use_id": "2", "content": []},
                {"type": "mcp_tool_use", "id": "3", "name": "m", "server_name": "s", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "1",
                    "is_error": True,
                    "content": [{"type": "tool_reference", "tool_name": "look"}, {"type": "new_part", **FREE}],
                }
            ],
        },
    ],
    "tools": [
        {"name": "look", "input_schema": {"type": "object", "properties": {}, "$defs": {}}, "defer_loading": True},
        {"type": "web_search_20991231", "name": "web_search", "max_uses": 2, "new": 1},
        {"type": "computer_20250124", "name": "computer", "display_width_px": 100},
        {"type": "mcp_toolset", "mcp_server_name": "s", "default_config": {"enabled": False}},
        {"type": "tool_of_next_year"},
    ],
    "tool_choice": {"type": "tool", "name": "look", "disable_parallel_tool_use": True},
    "thinking": {"type": "adaptive", "display": "omitted"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "output_config": {"effort": "xhigh", "format": {"type": "json_schema", "schema": {"type": "object"}}},
    "mcp_servers": [{"type": "url", "url": "https://a", "name": "s", "authorization_token": None}],
    "container": {"skills": []},
    "field_of_next_year": FREE,
}


def test_a_request_goes_on_as_it_came() -> None:
    read = messages.CreateMessageRequest.model_validate_json(json.dumps(ASKED))
    assert json.loads(read.model_dump_json(exclude_unset=True)) == ASKED


def test_what_is_known_has_its_type() -> None:
    read = messages.CreateMessageRequest.model_validate(ASKED)
    first = read.messages[0].content
    assert isinstance(first, list)
    assert [type(block) for block in first] == [
        content.TextBlock, content.ImageBlock, content.ImageBlock, content.DocumentBlock, content.SearchResultBlock,
        blocks.OtherBlock,
    ]  # fmt: skip
    assert read.tools is not None
    assert [type(tool) for tool in read.tools] == [
        tools.Tool, tools.WebSearchTool, tools.OtherTool, tools.MCPToolset, tools.OtherTool,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("max_tokens", 0),
        ("max_tokens", "64"),
        ("temperature", 1.1),
        ("messages", []),
        ("messages", [{"role": "tool", "content": "x"}]),
        ("messages", [{"role": "user", "content": [{"type": "text"}]}]),
        ("tools", [{"name": "look"}]),
        ("tool_choice", {"type": "maybe"}),
        ("stream", 1),
    ],
)
def test_what_anthropic_refuses_is_refused(place: str, value: Any) -> None:
    with pytest.raises(ValidationError) as raised:
        messages.CreateMessageRequest.model_validate_json(json.dumps({**ASKED, place: value}))
    assert {error["loc"][0] for error in raised.value.errors()} == {place}


TEXT = content.TextBlock(text="Hi", citations=[content.SearchResultLocation(
    cited_text="a", search_result_index=0, source="s", start_block_index=0, end_block_index=1,
)])  # fmt: skip
MESSAGE = messages.Message(
    id="msg_1", model="claude-x", stop_reason="tool_use", usage=messages.Usage(input_tokens=1, output_tokens=2),
    content=[
        blocks.ThinkingBlock(thinking="Hm.", signature="c2ln"), TEXT,
        blocks.ToolUseBlock(id="1", name="look", input={"at": 1}),
    ],
)  # fmt: skip
BATCH = batches.MessageBatch(
    id="msgbatch_1", processing_status="ended", request_counts=batches.RequestCounts(succeeded=1),
    created_at="2026-01-01T00:00:00Z", expires_at="2026-01-02T00:00:00Z", ended_at="2026-01-01T01:00:00Z",
    results_url="http://a/results",
)  # fmt: skip
ERROR = errors.ErrorResponse(error=errors.Error(type="overloaded_error", message="Later."), request_id="req_1")
MADE: list[tuple[BaseModel, Any]] = [
    (MESSAGE, SDKMessage),
    (BATCH, SDKBatch),
    (batches.DeletedMessageBatch(id="msgbatch_1"), SDKDeleted),
    (batches.MessageBatchResult(custom_id="a", result=batches.SucceededResult(message=MESSAGE)), SDKResult),
    (batches.MessageBatchResult(custom_id="a", result=batches.ErroredResult(error=ERROR)), SDKResult),
    (batches.MessageBatchResult(custom_id="a", result=batches.CanceledResult()), SDKResult),
    (batches.MessageBatchResult(custom_id="a", result=batches.ExpiredResult()), SDKResult),
    (ERROR, SDKErrorResponse),
    (models.ModelInfo(id="m", display_name="M", created_at="2026-01-01T00:00:00Z"), SDKModelInfo),
    (events.MessageStart(message=MESSAGE), RawMessageStreamEvent),
    (events.ContentBlockStart(index=0, content_block=TEXT), RawMessageStreamEvent),
    (events.ContentBlockDelta(index=0, delta=events.TextDelta(text="a")), RawMessageStreamEvent),
    (events.ContentBlockDelta(index=0, delta=events.InputJsonDelta(partial_json="{")), RawMessageStreamEvent),
    (events.ContentBlockDelta(index=0, delta=events.ThinkingDelta(thinking="a")), RawMessageStreamEvent),
    (events.ContentBlockDelta(index=0, delta=events.SignatureDelta(signature="a")), RawMessageStreamEvent),
    (events.ContentBlockStop(index=0), RawMessageStreamEvent),
    (
        events.MessageDelta(delta=events.MessageEnd(stop_reason="end_turn"), usage=events.UsageSoFar(output_tokens=1)),
        RawMessageStreamEvent,
    ),
    (events.MessageStop(), RawMessageStreamEvent),
]


@pytest.mark.parametrize(("made", "theirs"), MADE, ids=lambda value: getattr(type(value), "__name__", ""))
def test_the_anthropic_package_reads_what_we_make(made: BaseModel, theirs: Any) -> None:
    sent = json.loads(made.model_dump_json(exclude_unset=True))
    adapter: TypeAdapter[Any] = TypeAdapter(theirs)
    read = adapter.validate_python(sent, strict=False)
    assert json.loads(adapter.dump_json(read, exclude_unset=True)) == sent
