from __future__ import annotations

import copy
from typing import Any

import pytest

from llama_stack.agent.include import visible

TOKEN = {"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": []}
CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "message.output_text.logprobs",
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "a", "logprobs": [TOKEN]}],
        },
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a", "logprobs": []}]},
    ),
    (
        "message.input_image.image_url",
        {
            "role": "user",
            "content": [
                {"type": "input_image", "image_url": "data:,", "detail": "auto"},
                {"type": "input_text", "text": "a"},
            ],
        },
        {"role": "user", "content": [{"type": "input_image", "detail": "auto"}, {"type": "input_text", "text": "a"}]},
    ),
    (
        "reasoning.encrypted_content",
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
        {"type": "reasoning", "id": "rs_1", "summary": []},
    ),
    (
        "file_search_call.results",
        {"type": "file_search_call", "queries": ["q"], "results": [{"text": "x"}]},
        {"type": "file_search_call", "queries": ["q"]},
    ),
    (
        "web_search_call.action.sources",
        {"type": "web_search_call", "action": {"type": "search", "query": "q", "sources": [{"url": "u"}]}},
        {"type": "web_search_call", "action": {"type": "search", "query": "q"}},
    ),
    (
        "web_search_call.results",
        {"type": "web_search_call", "action": {"type": "search"}, "results": [1]},
        {"type": "web_search_call", "action": {"type": "search"}},
    ),
    (
        "code_interpreter_call.outputs",
        {"type": "code_interpreter_call", "code": "1", "outputs": []},
        {"type": "code_interpreter_call", "code": "1"},
    ),
    (
        "computer_call_output.output.image_url",
        {"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": "u"}},
        {"type": "computer_call_output", "output": {"type": "computer_screenshot"}},
    ),
]


@pytest.mark.parametrize(("value", "item", "without"), CASES, ids=[value for value, *_ in CASES])
def test_include(value: str, item: dict[str, Any], without: dict[str, Any]) -> None:
    before = copy.deepcopy(item)
    others = {other for other, *_ in CASES} - {value}
    assert visible(item, {value}) == item
    assert visible(item, ()) == visible(item, others) == without
    assert visible(without, ()) == without
    assert item == before


@pytest.mark.parametrize(
    "item",
    [
        {"type": "message", "role": "user", "content": "Hi"},
        {"type": "function_call_output", "output": [{"type": "input_image", "image_url": "u"}]},
        {"type": "compaction", "encrypted_content": "x"},
        {"type": "web_search_call", "action": None},
        {"type": "of_tomorrow", "results": [1]},
    ],
)
def test_what_no_value_names_stays(item: dict[str, Any]) -> None:
    assert visible(item, ["of.tomorrow"]) == item
