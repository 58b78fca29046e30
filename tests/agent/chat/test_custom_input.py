from __future__ import annotations

import pytest

from llama_stack.agent.chat.custom_input import InputReader, whole_input


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"input": "a\nb"}', "a\nb"),
        (r'{"input": "C:\users\x"}', r"C:\usersx"),
        (r'{"input": "\u0041\/\t"}', "A/\t"),
        (r'{"input": "\ud83dx"}', "\ufffdx"),
        ('{"input": "a", "other": "b"}', "a"),
        ('{"input": "a', "a"),
        ('{"input": ""}', ""),
    ],
)
def test_strings_are_read_leniently(arguments: str, text: str) -> None:
    reader = InputReader()
    assert "".join(map(reader.feed, arguments)) == text
    assert reader.begun


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("*** Begin Patch", "*** Begin Patch"),
        ('"just a string"', "just a string"),
        ('{"patch": "a"}', "a"),
        ('{"other": 1, "input": "a"}', "a"),
        ('{"a": 1, "b": 2}', '{"a":1,"b":2}'),
        ('{"input": {"x": 1}}', '{"x":1}'),
        ("{}", ""),
        ("", ""),
        ("[1]", "[1]"),
    ],
)
def test_arguments_of_another_form(arguments: str, text: str) -> None:
    reader = InputReader()
    assert "".join(map(reader.feed, arguments)) == ""
    assert not reader.begun
    assert whole_input(arguments) == text
