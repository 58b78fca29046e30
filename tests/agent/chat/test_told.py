"""A chat for models that know no tools."""

from __future__ import annotations

from typing import Any

from llama_stack.agent.chat.messages import chat_messages
from llama_stack.agent.entries import Entry, ModelCall


def said(role: str, text: str) -> Entry:
    kind = "output_text" if role == "assistant" else "input_text"
    return Entry({"type": "message", "role": role, "content": [{"type": kind, "text": text}]})


def found(number: int, shown: str) -> Entry:
    return Entry({"type": "file_search_call"}, call=ModelCall(f"c{number}", "file_search", "{}"), shown=shown)


def told(*entries: Entry, **options: Any) -> list[tuple[str, Any]]:
    messages = chat_messages(entries, unseal=lambda kind, sealed: None, tools_told=True, **options)
    return [(message["role"], message["content"]) for message in messages]


def test_what_was_found_stands_before_the_question() -> None:
    assert told(said("user", "What do llamas eat?"), found(1, "Grass."), found(2, "Hay.")) == [
        ("user", "Grass.\n\nHay.\n\nWhat do llamas eat?")
    ]


def test_each_turn_has_its_own() -> None:
    assert told(
        said("user", "One?"), found(1, "1"), said("assistant", "One."), said("user", "Two?"), found(2, "2"),
        instructions="Be brief.",
    ) == [("system", "Be brief."), ("user", "1\n\nOne?"), ("assistant", "One."), ("user", "2\n\nTwo?")]  # fmt: skip


def test_calls_of_other_models_are_told_too() -> None:
    call = Entry({"type": "function_call", "call_id": "f1", "name": "clock", "arguments": "{}"})
    output = Entry({"type": "function_call_output", "call_id": "f1", "output": "noon"})
    assert told(said("user", "When?"), call, output) == [("user", "noon\n\nWhen?")]
    assert told(call, output) == [("user", "noon\n")]
