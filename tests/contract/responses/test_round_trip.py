"""What clients send is kept as it is, at every level, known or not; and what they may send is taken."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from llama_stack_api.openai.conversations import AddItemsRequest, CreateConversationRequest
from llama_stack_api.openai.responses import items, tools
from llama_stack_api.openai.responses.events import EVENT_CLASSES, OtherEvent, ResponseStreamEvent
from llama_stack_api.openai.responses.operations import CompactRequest, CreateOverWebSocket, InputTokensRequest
from llama_stack_api.openai.responses.request import Guardrail, ResponseRequest
from llama_stack_api.openai.responses.response import Response
from llama_stack_api.openai.responses.settings import ConversationReference, MCPToolChoice, OtherToolChoice
from tests.contract.responses.replies import FILTERS
from tests.support.instances import Maker

MODELS = [
    ResponseRequest, CreateOverWebSocket, InputTokensRequest, CompactRequest, CreateConversationRequest,
    AddItemsRequest, Response,
]  # fmt: skip


def assert_kept(model: type[BaseModel], said: Any) -> None:
    read = model.model_validate_json(json.dumps(said))
    assert json.loads(read.model_dump_json(exclude_unset=True)) == said


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@given(chance=st.randoms(use_true_random=True))
@settings(max_examples=60, deadline=None)
def test_all_is_kept(model: type[BaseModel], chance: random.Random) -> None:
    assert_kept(model, Maker(chance, optional=0.4, unknown=0.3, places=FILTERS).model(model))


@pytest.mark.parametrize("event", EVENT_CLASSES, ids=lambda event: event.__name__)
def test_events_are_kept(event: type[BaseModel]) -> None:
    chance = random.Random(event.__name__)
    for _ in range(4):
        assert_kept(event, Maker(chance, optional=0.5, unknown=0.3, places=FILTERS).model(event))


def read(*given: Any, **settings: Any) -> ResponseRequest:
    """A request that has been read, after which nothing of it is lost."""
    said = {"model": "m", "input": list(given), **settings}
    assert_kept(ResponseRequest, said)
    return ResponseRequest.model_validate(said)


def kinds(request: ResponseRequest) -> list[type]:
    assert isinstance(request.input, list)
    return [type(item) for item in request.input]


def test_messages_come_in_every_form() -> None:
    spoken = {"type": "output_text", "text": "hi", "annotations": [], "logprobs": []}
    request = read(
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [spoken], "id": "msg_1", "status": "completed", "phase": "final_answer"},
        {"role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
        {"type": "message", "role": "system", "content": "Be kind."},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA=="}}]},
        {"role": "user", "content": []},
    )
    assert set(kinds(request)) == {items.Message}


def test_items_come_back_in_any_order_with_or_without_ids() -> None:
    request = read(
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "42"}]},
        {
            "type": "reasoning", "id": "rs_1", "status": None, "summary": [], "encrypted_content": None,
            "content": [{"type": "reasoning_text", "text": "hm"}],
        },
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "content": None},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{"},
        {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}},
        {"type": "mcp_call", "id": "m", "server_label": "s", "name": "f", "arguments": "{}", "error": "no"},
        {"id": "msg_1"},
        {"type": "item_reference", "id": "msg_2"},
        {"type": None, "id": "msg_3"},
    )  # fmt: skip
    assert kinds(request) == [
        items.FunctionCallOutput, items.ReasoningItem, items.ReasoningItem, items.FunctionCall, items.WebSearchCall,
        items.MCPCall, items.ItemReference, items.ItemReference, items.ItemReference,
    ]  # fmt: skip


def test_unknown_items_and_tools_are_kept() -> None:
    request = read(
        {"type": "ghost_snapshot", "id": "g", "ghost_commit": {"id": "abc", "files": [1]}},
        tools=[{"type": "browser", "tabs": 3}, {"type": "namespace", "name": "n", "tools": [{"type": "x", "y": 1}]}],
        tool_choice={"type": "browser", "tab": 1},
        include=["something.new"],
        text={"format": {"type": "regex", "pattern": "a+"}},
        service_tier="on_demand",
    )
    assert kinds(request) == [items.OtherItem]
    assert [type(tool) for tool in request.tools or ()] == [tools.OtherTool, tools.NamespaceTool]
    assert isinstance(request.tool_choice, OtherToolChoice)


def test_a_conversation_is_an_id_or_an_object() -> None:
    assert read(conversation="conv_1").conversation == "conv_1"
    assert read(conversation={"id": "conv_1"}).conversation == ConversationReference(id="conv_1")


def test_extensions_of_llama_stack() -> None:
    request = read(
        guardrails=["shield", {"type": "other-shield"}],
        max_infer_iters=3,
        tools=[{
            "type": "mcp", "server_label": "s", "server_url": "http://a", "allowed_tools": ["t"],
            "require_approval": {"always": ["t"], "never": {"read_only": True}},
        }],
        tool_choice={"type": "mcp", "server_label": "s"},
    )  # fmt: skip
    assert request.guardrails == ["shield", Guardrail(type="other-shield")]
    assert request.max_infer_iters == 3
    assert isinstance(request.tool_choice, MCPToolChoice)
    mcp = (request.tools or [])[0]
    assert isinstance(mcp, tools.MCPTool)
    assert isinstance(mcp.require_approval, tools.MCPApprovalFilter)
    assert mcp.require_approval.always == ["t"]
    assert mcp.require_approval.never == tools.MCPToolFilter(read_only=True)


def test_secrets_are_sent_but_not_shown() -> None:
    said = {"type": "mcp", "server_label": "s", "authorization": "hush", "headers": {"X-Key": "hush"}}
    tool = tools.MCPTool.model_validate(said)
    assert "hush" not in repr(tool)
    assert "hush" not in str(tool.model_dump())
    assert json.loads(tool.model_dump_json(exclude_unset=True)) == said


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ({"input": [{"type": "function_call", "name": "f"}]}, ("input", "function_call", "call_id")),
        ({"input": [{"role": "user"}]}, ("input", "message", "content")),
        ({"input": "x", "temperature": "1"}, ("temperature",)),
        ({"input": "x", "store": 1}, ("store",)),
        ({"input": "x", "max_output_tokens": 3}, ("max_output_tokens",)),
        ({"input": "x", "truncation": "middle"}, ("truncation",)),
        ({"input": "x", "tools": [{"type": "function"}]}, ("tools", "function", "name")),
        ({"input": "x", "metadata": {"k": 1}}, ("metadata", "k")),
    ],
)
def test_what_is_wrong_is_refused_by_its_place(said: dict[str, Any], place: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        ResponseRequest.model_validate_json(json.dumps(said))
    places = [[part for part in error["loc"] if isinstance(part, str)] for error in caught.value.errors()]
    assert any(set(place) <= set(found) for found in places)


def test_unknown_events_are_kept() -> None:
    said = {"type": "response.compaction.compacting", "sequence_number": 4, "item_id": "cmp_1", "output_index": 0}
    event = TypeAdapter(ResponseStreamEvent).validate_python(said)
    assert isinstance(event, OtherEvent)
    assert event.model_dump(exclude_unset=True) == said


def test_a_response_made_in_python_states_what_the_contract_requires() -> None:
    made = Response(id="resp_1", created_at=1, model="m", output=[items.Message(role="assistant", content="hi")])
    assert made.model_dump(exclude_unset=True) == {
        "id": "resp_1", "object": "response", "created_at": 1, "completed_at": None, "error": None,
        "incomplete_details": None, "model": "m", "conversation": None, "instructions": None,
        "max_output_tokens": None, "max_tool_calls": None, "metadata": None, "parallel_tool_calls": True,
        "previous_response_id": None, "prompt_cache_key": None, "reasoning": None, "safety_identifier": None,
        "temperature": None, "tool_choice": "auto", "tools": [], "top_p": None,
        "output": [{"type": "message", "role": "assistant", "content": "hi"}],
    }  # fmt: skip
