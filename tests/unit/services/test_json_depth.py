"""The depth check against a plain count, on whatever JSON hypothesis makes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_stack.services.json_depth import check_depth
from llama_stack_api.errors import InvalidRequest

NASTY = st.text(alphabet='[]{}"\\a', max_size=12)
JSON = st.recursive(
    st.none() | st.integers() | NASTY,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NASTY, inner, max_size=4),
    max_leaves=30,
)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


def is_refused(body: bytes, depth_max: int) -> bool:
    try:
        check_depth(body, depth_max)
    except InvalidRequest as error:
        return error.code == "json_too_deep"
    return False


@given(value=JSON, depth_max=st.integers(1, 6), indent=st.none() | st.just(2))
def test_exactly_what_is_deeper_is_refused(value: Any, depth_max: int, indent: int | None) -> None:
    assert is_refused(json.dumps(value, indent=indent).encode(), depth_max) == (depth_of(value) > depth_max)


@given(body=st.binary(max_size=200) | st.text(alphabet='[]{}"\\a,:', max_size=60).map(str.encode))
def test_rubbish_is_left_to_the_parser(body: bytes) -> None:
    is_refused(body, 3)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 50_000, b"[]" * 50_000, b"[" * 50_000 + b"]" * 50_000])
def test_large_rubbish_is_looked_at_quickly(body: bytes) -> None:
    # Balanced nesting is refused; what never closes is the parser's to refuse, which it does at its first fault.
    assert is_refused(body, 64) == (body == b"[" * 50_000 + b"]" * 50_000)
