"""What is told of the file of a batch, line by line."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_stack.config.batches import BatchesConfig
from llama_stack.services.batches.validation import PROBLEMS_MAX, Checked, Checker
from tests.support.batching import CHAT, chat_line, jsonl


def checked(path: Path, content: bytes, endpoint: str = CHAT, **limits: Any) -> Checked:
    file = path / "in.jsonl"
    file.write_bytes(content)
    return Checker(endpoint, BatchesConfig(**limits)).check(file)


def codes(found: Checked) -> list[tuple[int | None, str, str | None]]:
    return [(problem.line, problem.code, problem.param) for problem in found.problems]


def test_a_sound_file(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + jsonl([chat_line("a"), chat_line("b")]).replace(b"\n", b"\r\n\r\n").rstrip()
    found = checked(tmp_path, content)
    assert (found.total, found.model, found.problems) == (2, "m", [])


@pytest.mark.parametrize(
    ("changed", "code", "param"),
    [
        ({"custom_id": ""}, "missing_required_parameter", "custom_id"),
        ({"custom_id": 7}, "invalid_type", "custom_id"),
        ({"custom_id": "a\0"}, "invalid_value", "custom_id"),
        ({"method": None}, "missing_required_parameter", "method"),
        ({"method": "post"}, "invalid_method", "method"),
        ({"url": None}, "missing_required_parameter", "url"),
        ({"url": "/v1/responses"}, "mismatched_endpoint", "url"),
        ({"body": None}, "missing_required_parameter", "body"),
        ({"body": "text"}, "invalid_type", "body"),
        ({"body": {}}, "missing_required_parameter", "body.model"),
        ({"body": {"model": 1}}, "invalid_type", "body.model"),
    ],
)
def test_an_envelope_that_is_wrong(tmp_path: Path, changed: dict[str, Any], code: str, param: str) -> None:
    assert codes(checked(tmp_path, jsonl([{**chat_line("a"), **changed}]))) == [(1, code, param)]


@pytest.mark.parametrize(
    "raw",
    [b"[]", b"7", b"{", b'{"custom_id": "a"} {}', b"\xff", b'{"body": ' + b"[" * 100_000, b'{"custom_id": "\\ud800"}'],
)
def test_lines_that_are_no_json_object(tmp_path: Path, raw: bytes) -> None:
    assert codes(checked(tmp_path, raw)) == [(1, "invalid_json_line", None)]


def test_moderations_need_no_model(tmp_path: Path) -> None:
    line = {"custom_id": "a", "method": "POST", "url": "/v1/moderations", "body": {"input": "Hi"}}
    found = checked(tmp_path, jsonl([line]), "/v1/moderations")
    assert (found.problems, found.model) == ([], None)


def test_so_many_problems_are_told(tmp_path: Path) -> None:
    assert len(checked(tmp_path, b"x\n" * 500).problems) == PROBLEMS_MAX


def test_what_comes_behind_a_line_that_is_too_long_is_read(tmp_path: Path) -> None:
    long = chat_line("a", "x" * 200_000)
    found = checked(tmp_path, jsonl([long, {**chat_line("b"), "method": "GET"}]), line_bytes_max=1000)
    assert codes(found) == [(1, "request_too_large", None), (2, "invalid_method", "method")]


@given(st.lists(st.tuples(st.text(min_size=1), st.dictionaries(st.text(), st.text())), unique_by=lambda each: each[0]))
def test_requests_are_what_was_written(lines: list[tuple[str, dict[str, str]]]) -> None:
    sound = [
        (name, body) for name, body in lines if "\0" not in name and not any("\ud800" <= c <= "\udfff" for c in name)
    ]
    content = b"".join(
        json.dumps({"custom_id": name, "method": "POST", "url": CHAT, "body": {**body, "model": "m"}}).encode() + b"\n"
        for name, body in sound
    )
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "in.jsonl"
        path.write_bytes(content)
        checker = Checker(CHAT, BatchesConfig())
        assert codes(checker.check(path)) == ([] if sound else [(None, "empty_file", None)])
        requests = list(checker.requests(path))
    assert [(each.line, each.custom_id) for each in requests] == [(n, name) for n, (name, _) in enumerate(sound)]
    assert [json.loads(each.request) for each in requests] == [{**body, "model": "m"} for _, body in sound]
