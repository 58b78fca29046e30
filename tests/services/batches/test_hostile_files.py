"""Input files of batches that were made to be hard to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llama_stack.config.batches import BatchesConfig
from llama_stack.services.batches.validation import Checked, Checker

CHAT = "/v1/chat/completions"
BOM = b"\xef\xbb\xbf"


def line(custom_id: Any, **members: Any) -> bytes:
    request = {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": {"model": "m", "messages": []}}
    return json.dumps({**request, **members}).encode()


def checked(directory: Path, content: bytes) -> Checked:
    path = directory / "in.jsonl"
    path.write_bytes(content)
    return Checker(CHAT, BatchesConfig()).check(path)


@pytest.mark.parametrize(
    ("content", "total"),
    [
        (line("a") + b"\r\n" + line("b") + b"\r\n", 2),
        (BOM + line("a"), 1),
        (b"\n\n" + line("a") + b"\n\n \t\r\n" + line("b") + b"\n\n", 2),
        (line('a\n{"custom_id":"evil"}'), 1),
        (line("a\u2028b") + b"\n" + line("\x85"), 2),
    ],
)
def test_what_is_odd_and_sound(tmp_path: Path, content: bytes, total: int) -> None:
    found = checked(tmp_path, content)
    assert (found.total, found.problems) == (total, [])


@pytest.mark.parametrize(
    ("content", "number", "code"),
    [
        (line("a").replace(b'"a"', b'"\xff\xfe"'), 1, "invalid_json_line"),
        (line("a").replace(b'"m"', b'"m\xff"'), 1, "invalid_json_line"),
        (line("a").replace(b'"a"', b'"\\ud800"'), 1, "invalid_json_line"),
        (line("a") + b"\r" + line("b"), 1, "invalid_json_line"),
        (line("a") + b"\n" + BOM + line("b"), 2, "invalid_json_line"),
        (line("a").decode().encode("utf-16"), 1, "invalid_json_line"),
        (line("a").replace(b"[]", b"[" * 100_000 + b"]" * 100_000), 1, "invalid_json_line"),
        (line("a\0"), 1, "invalid_value"),
        (line("a") + b"\n" + line("a").replace(b'"a"', b'"\\u0061"'), 2, "duplicate_custom_id"),
        (line("a", body={"model": "m", "x": "y" * 17_000_000}), 1, "request_too_large"),
        (b"\n".join(line(str(number)) for number in range(50_001)), None, "too_many_tasks"),
    ],
)
def test_what_is_no_request_is_a_problem_of_its_line(
    tmp_path: Path, content: bytes, number: int | None, code: str
) -> None:
    found = checked(tmp_path, content)
    assert (number, code) in [(problem.line, problem.code) for problem in found.problems]
