"""A conversation that goes to Gemini's words and back means what it meant."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings

from llama_stack.dialects.gemini.to_gemini import gemini_request
from tests.support.gemini_upstream_contract import check_generate, is_newest
from tests.support.gemini_words import as_chat
from tests.unit.dialects.gemini.conversations import conversations


def meaning(messages: Sequence[dict[str, Any]], *, ids: bool) -> list[Any]:
    """What was said, by whom, in answer to what. Where Google knows no ids, calls are known by their place."""
    said: list[Any] = []
    places: dict[str, Any] = {}
    results: list[Any] = []
    for message in messages:
        if message["role"] == "tool":
            results.append((places[message["tool_call_id"]], message["content"]))
            continue
        said += sorted(results, key=lambda result: result[0][0])
        results = []
        calls = message.get("tool_calls", [])
        places = {call["id"]: (at, call["id"] if ids else None) for at, call in enumerate(calls)}
        asked = [
            (places[call["id"]], call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls
        ]
        signatures = [block["signature"] for block in message.get("thinking_blocks", [])]
        said.append((message["role"], message["content"], asked, signatures))
    return [*said, *sorted(results, key=lambda result: result[0][0])]


@pytest.mark.parametrize("model", ["gemini-3-pro", "gemini-2.5-flash", "gemini-flash-latest"])
@settings(max_examples=40, deadline=None)
@given(messages=conversations())
def test_a_conversation_keeps_its_meaning(model: str, messages: list[dict[str, Any]]) -> None:
    request = gemini_request({"model": model, "messages": messages})
    check_generate(request, model, vertex=True)
    back = as_chat(request)["messages"]
    ids = is_newest(model)
    assert meaning(back, ids=ids) == meaning(messages, ids=ids)


@settings(max_examples=40, deadline=None)
@given(messages=conversations())
def test_the_request_of_a_client_is_left_alone(messages: list[dict[str, Any]]) -> None:
    before = json.dumps(messages)
    gemini_request({"model": "gemini-3-pro", "messages": messages})
    assert json.dumps(messages) == before
