"""Definitions put in place: a small schema must not become an endless one."""

from __future__ import annotations

import time
from typing import Any

import pytest

from llama_stack.dialects.oci.schemas import plain_schema
from llama_stack_api.errors import InvalidRequest


def doubling(times: int) -> dict[str, Any]:
    """A schema of which each definition uses the next one twice."""
    defined: dict[str, Any] = {
        f"d{number}": {"properties": {side: {"$ref": f"#/$defs/d{number + 1}"} for side in "lr"}}
        for number in range(times)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**defined, f"d{times}": {"type": "string"}}}


def test_one_that_doubles_is_refused_at_once() -> None:
    begun = time.process_time()
    with pytest.raises(InvalidRequest, match="once its definitions"):
        plain_schema(doubling(40))
    assert time.process_time() - begun < 5.0


def test_one_that_uses_a_definition_twice_is_taken() -> None:
    string = {"type": "string"}
    assert plain_schema(doubling(1)) == {"properties": {"l": string, "r": string}}
