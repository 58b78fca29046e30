"""Places and reasons of validation errors, apart from HTTP."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, model_validator

from llama_stack.services.parsing import param_of, parse
from llama_stack_api.errors import InvalidRequest, MalformedBody


class Text(BaseModel):
    type: Literal["text"]
    text: str


class Image(BaseModel):
    type: Literal["image"]
    url: str


class Whole(BaseModel):
    name: str = "n"
    parts: list[Annotated[Text | Image, Field(discriminator="type")]] = []
    either: int | list[int] | dict[str, int] | None = None
    even: int = 0
    word: Literal["low", "high"] | str = "low"

    @model_validator(mode="after")
    def _even(self) -> Whole:
        if self.even % 2:
            raise ValueError("'even' must be even.")
        return self


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (("a",), "a"),
        (("a", 0, "b"), "a[0].b"),
        (("a", 0, 1), "a[0][1]"),
        ((0,), "[0]"),
        ((), ""),
    ],
)
def test_param_of(place: tuple[Any, ...], text: str) -> None:
    assert param_of(place) == text


@pytest.mark.parametrize(
    ("body", "param", "code", "message"),
    [
        (b'{"parts": [{"type": "text"}]}', "parts[0].text", "missing_required_parameter", "this field is required"),
        (b'{"parts": [{"type": "image", "url": 1}]}', "parts[0].url", "invalid_type", "valid string"),
        (b'{"parts": [{"type": "sound"}]}', "parts[0].type", "invalid_value", "'text', 'image'"),
        (b'{"parts": [{"text": "t"}]}', "parts[0].type", "missing_required_parameter", "this field is required"),
        (b'{"parts": [5]}', "parts[0]", "invalid_type", "object"),
        (b'{"word": 5}', "word", "invalid_type", "valid string"),
        (b'{"either": "x"}', "either", "invalid_value", "valid integer"),
        (b'{"either": {"a": "x"}}', "either.a", "invalid_value", "valid integer"),
        (b'{"name": null}', "name", "invalid_type", "valid string"),
    ],
)
def test_the_offending_field_is_named(body: bytes, param: str, code: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(Whole, body)
    assert (caught.value.param, caught.value.code) == (param, code)
    assert message in caught.value.message


def test_alternatives_are_told_together() -> None:
    with pytest.raises(InvalidRequest, match=r"integer.*, or .*array, or .*object"):
        parse(Whole, b'{"either": "x"}')


def test_a_rule_over_several_fields_says_what_it_says() -> None:
    with pytest.raises(InvalidRequest, match="'even' must be even") as caught:
        parse(Whole, b'{"even": 1}')
    assert caught.value.param is None


@pytest.mark.parametrize("word", [b"NaN", b"Infinity", b"-Infinity"])
def test_a_bare_word_is_no_number_wherever_it_stands(word: bytes) -> None:
    with pytest.raises(MalformedBody, match="no numbers in JSON"):
        parse(Whole, b'{"unheard_of": [%s]}' % word)
    assert parse(Whole, b'{"name": "%s"}' % word).name == word.decode()


def test_nesting_beyond_the_parsers_own_limit_is_an_error_like_any() -> None:
    with pytest.raises(MalformedBody):
        parse(Whole, b"[" * 1000)
