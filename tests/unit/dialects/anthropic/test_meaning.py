"""Translated there and back, a conversation keeps its meaning (`meaning.py` says what that is)."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings

from llama_stack.dialects.anthropic.to_chat import chat_request
from llama_stack.dialects.anthropic.to_messages import messages_request
from tests.unit.dialects.anthropic.conversations import chat_requests, messages_requests
from tests.unit.dialects.anthropic.meaning import meaning_of_chat, meaning_of_messages


@settings(max_examples=35, deadline=None)
@given(chat_requests())
def test_openai_to_anthropic_and_back(chat: dict[str, Any]) -> None:
    request = messages_request(chat, max_tokens=4096)
    assert meaning_of_messages(request) == meaning_of_chat(chat)
    assert meaning_of_chat(chat_request(request)) == meaning_of_chat(chat)


@settings(max_examples=35, deadline=None)
@given(messages_requests())
def test_anthropic_to_openai_and_back(request: dict[str, Any]) -> None:
    chat = chat_request(request)
    assert meaning_of_chat(chat) == meaning_of_messages(request)
    assert meaning_of_messages(messages_request(chat, max_tokens=4096)) == meaning_of_messages(request)


@settings(max_examples=25, deadline=None)
@given(messages_requests())
def test_every_call_is_followed_by_its_result_and_no_result_is_alone(request: dict[str, Any]) -> None:
    open_calls: list[str] = []
    for message in chat_request(request)["messages"]:
        if message["role"] == "tool":
            assert message["tool_call_id"] == open_calls.pop(0)
        else:
            assert open_calls == []
        open_calls += [call["id"] for call in message.get("tool_calls", ())]
    assert open_calls == []
