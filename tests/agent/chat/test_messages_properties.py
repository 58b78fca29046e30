"""Whatever items come in whatever order, the messages are such as every provider takes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from llama_stack.agent.chat.messages import CALL_ID_CHARS_MAX, chat_messages
from llama_stack.agent.entries import Entry, Item, ModelCall
from llama_stack.agent.seals import SIGNED
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.openai.responses import items
from tests.contract.responses.replies import IN_CONVERSATIONS, made, sent
from tests.support.instances import members

IDS = st.sampled_from(["a", "b", "c", "call_" + "x" * 50])
TEXT = st.sampled_from(["", "x", "Hello"])
PARTS = st.lists(
    st.sampled_from(
        [
            {"type": "input_text", "text": "x"},
            {"type": "input_image", "image_url": "data:,"},
            {"type": "input_file", "file_data": "AA=="},
            {"type": "output_text", "text": "y", "annotations": []},
            {"type": "refusal", "refusal": "no"},
        ]
    ),
    max_size=3,
)
CONTENT = TEXT | PARTS
ARGUMENTS = st.sampled_from(["", "{}", '{"x": 1}', "[1]", '{"x', "null"])


def item(kind: str, **members: st.SearchStrategy[Any]) -> st.SearchStrategy[Entry]:
    return st.fixed_dictionaries({"type": st.just(kind), **members}).map(Entry)


NAME = st.sampled_from(["get", "a.b"])
ENTRIES = st.lists(
    item("message", role=st.sampled_from(["user", "assistant", "system", "developer"]), content=CONTENT)
    | item("function_call", call_id=IDS, name=NAME, arguments=ARGUMENTS)
    | item("function_call_output", call_id=IDS | st.none(), output=CONTENT)
    | item("custom_tool_call", call_id=IDS, name=NAME, input=TEXT)
    | item("custom_tool_call_output", call_id=IDS, output=CONTENT)
    | item("reasoning", summary=st.just([]), content=st.just([{"type": "reasoning_text", "text": "Hm"}]))
    | item("mcp_approval_request", id=IDS, server_label=st.just("s"), name=NAME, arguments=ARGUMENTS)
    | item("mcp_approval_response", approval_request_id=IDS, approve=st.booleans())
    | item("mcp_call", id=IDS, server_label=st.just("s"), name=NAME, arguments=ARGUMENTS, output=TEXT,
           approval_request_id=IDS | st.none())
    | item("shell_call", call_id=IDS, action=st.just({"commands": []}))
    | item("shell_call_output", call_id=IDS, output=st.just([{"stdout": "x"}]))
    | item("compaction", encrypted_content=TEXT)
    | item("something_new", text=TEXT)
    | st.builds(
        Entry, st.just({}), call=st.builds(ModelCall, IDS, NAME, ARGUMENTS), shown=TEXT, together=st.booleans()
    ),
    max_size=12,
)  # fmt: skip


def assert_acceptable(messages: list[dict[str, Any]]) -> None:
    if messages:
        ChatCompletionRequest.model_validate({"model": "m", "messages": messages})
    waiting: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            assert waiting.pop(0) == message["tool_call_id"], "results come in the order of the calls"
        else:
            assert not waiting, "a call without a result"
        if message["role"] == "assistant":
            calls = message.get("tool_calls", [])
            assert message["content"] or calls
            waiting = [call["id"] for call in calls]
            assert len(set(waiting)) == len(waiting)
            for call in calls:
                assert 0 < len(call["id"]) <= CALL_ID_CHARS_MAX
                assert isinstance(json.loads(call["function"]["arguments"]), dict)
        if message["role"] != "user":
            assert message["content"] is None or isinstance(message["content"], str)
    assert not waiting


@settings(max_examples=300, deadline=None)
@given(entries=ENTRIES)
def test_messages_are_acceptable(entries: list[Entry]) -> None:
    before = json.dumps([entry.item for entry in entries])
    messages = chat_messages(entries, unseal=lambda kind, sealed: None if kind == SIGNED else sealed)
    assert_acceptable(messages)
    assert json.dumps([entry.item for entry in entries]) == before
    assert chat_messages(entries, unseal=lambda kind, sealed: None if kind == SIGNED else sealed) == messages


@settings(max_examples=100, deadline=None)
@given(entries=ENTRIES)
def test_every_output_is_shown_at_most_once(entries: list[Entry]) -> None:
    numbered = [
        Entry({**e.item, "output": f"<{n}>"})
        for n, e in enumerate(entries)
        if e.item.get("type") == "function_call_output"
    ]
    calls = [entry for entry in entries if entry.item.get("type") == "function_call"]
    messages = chat_messages([*calls, *numbered], unseal=lambda kind, sealed: None)
    shown = [message["content"] for message in messages if message["role"] == "tool" and message["content"][0] == "<"]
    assert len(set(shown)) == len(shown)
    called = {call.item["call_id"] for call in calls}
    orphans: dict[str, str] = {}
    for number, entry in enumerate(numbered):
        if entry.item["call_id"] not in called:
            orphans.setdefault(entry.item["call_id"] or f"none {number}", entry.item["output"])
    assert set(orphans.values()) <= set(shown)


@pytest.mark.parametrize("model", members(items.InputItem), ids=lambda model: model.__name__)
def test_items_of_every_kind_that_the_contract_has(model: type[BaseModel]) -> None:
    for seed in range(8):
        whole: Item = sent(made(model, seed, IN_CONVERSATIONS))
        user = {"type": "message", "role": "user", "content": "Hi"}
        messages = chat_messages([Entry(whole), Entry(user)], unseal=lambda kind, sealed: None)
        assert_acceptable(_as_read(messages))
        assert messages[-1]["role"] == "user"


def _as_read(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As the wire types read them, which fill in nothing."""
    return json.loads(json.dumps(messages))
