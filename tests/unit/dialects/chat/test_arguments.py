"""The arguments of calls, as models write them: what is passed on is always an object's beginning, then an object."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jiter import from_json

from llama_stack.dialects.chat.arguments import StreamedArguments, tool_input
from tests.unit.dialects.anthropic.conversations import inputs

anything = st.text(alphabet='{}[]",: \\ab1nu\n', max_size=20)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('{"a": 1}', {"a": 1}),
        ('{"a": "x\ny"}', {"a": "x\ny"}),
        ('{"a": "\\d+"}', {"a": "\\d+"}),
        ('{"a": "\\u00e4\\u12"}', {"a": "ä\\u12"}),
        ('{"a": True, "b": x}', {"a": "True", "b": "x"}),
        ('{"a": [1, 2,], }', {"a": [1, 2]}),
        ('{"a": 1} and more', {"a": 1}),
        ('{"path": "a.py", "text": "x = ', {"path": "a.py", "text": "x = "}),
        ('{"a": {"b": [1', {"a": {"b": [1]}}),
        ('{"a": 1, "b', {"a": 1, "b": None}),
        ('{"a":', {"a": None}),
        ("{'a': 1}", {"arguments": "'a': 1}"}),
        ('{"a": 1 "b": 2}', {"a": 1, "arguments": '"b": 2}'}),
        ('{"a" 1}', {"a": "1}"}),
        ('"{\\"a\\": 1}"', {"a": 1}),
        ("oops", {"arguments": "oops"}),
        (" ", {}),
    ],
)
def test_mistakes(text: str, meant: dict[str, Any]) -> None:
    assert tool_input(text) == meant
    assert json.loads("".join(passed_on(list(text))) or "{}") == meant


@settings(max_examples=80, deadline=None)
@given(anything, st.sampled_from(["", "{", '{"a":', '{"a":[1,']))
def test_pieces_are_always_the_beginning_of_the_object_that_the_whole_is(text: str, beginning: str) -> None:
    text = beginning + text
    so_far = ""
    for piece in passed_on(list(text)):
        so_far += piece
        if so_far.strip():
            assert isinstance(from_json(so_far.encode(), partial_mode=True), dict)
    assert json.loads(so_far or "{}") == tool_input(text)


@settings(max_examples=50, deadline=None)
@given(inputs, st.integers(1, 5))
def test_an_object_is_passed_on_as_it_is(given_: dict[str, Any], size: int) -> None:
    text = json.dumps(given_, ensure_ascii=False)
    assert "".join(passed_on([text[at : at + size] for at in range(0, len(text), size)])) == text


def passed_on(pieces: list[str]) -> list[str]:
    arguments = StreamedArguments()
    return [*(arguments.feed(piece) for piece in pieces), arguments.finish()]
