"""`Api`: names of APIs that are equal to their strings, and that pydantic reads and writes as strings."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from llama_stack_api.api import Api


class Holder(BaseModel):
    api: Api
    others: dict[Api, int] = {}


def test_a_name_is_its_string_and_one_object() -> None:
    assert Api("inference") is Api.inference
    assert Api.inference == "inference"
    assert Api.inference.value == "inference"
    assert {Api.inference: 1}["inference"] == 1  # type: ignore[index]


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'nonsense' is not an API; known: .*inference"):
        Api("nonsense")


def test_pydantic_reads_and_writes_strings() -> None:
    held = Holder.model_validate_json('{"api": "safety", "others": {"files": 1}}')
    assert held.api is Api.safety
    assert list(held.others) == [Api.files]
    assert held.model_dump_json() == '{"api":"safety","others":{"files":1}}'
    assert type(held.model_dump()["api"]) is str
    assert Holder.model_json_schema()["properties"]["api"]["type"] == "string"


def test_pydantic_refuses_what_is_no_api() -> None:
    with pytest.raises(ValidationError, match="is not an API"):
        Holder.model_validate({"api": "nonsense"})
