"""From a body to a request type, and from what is wrong with it to an error that a person can act on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec
import pydantic_core
from pydantic import BaseModel, ValidationError

from llama_stack_api.errors import InvalidRequest, MalformedBody

T = TypeVar("T", bound=BaseModel)

_CODES = {"missing": "missing_required_parameter", "extra_forbidden": "unknown_parameter"}
_ALTERNATIVES_MAX = 3
_LET_PASS = (rb"\ud", rb"\uD", b"NaN", b"Infinity")


def parse(model: type[T], body: bytes) -> T:
    """`InvalidRequest` names the offending field in `param`; `MalformedBody` says where the JSON breaks."""
    try:
        # Looked up anew each time: a deferred model replaces this attribute when it is first used.
        parsed: T = model.__pydantic_validator__.validate_json(body)
    except ValidationError as error:
        raise invalid_body(error.errors(include_url=False, include_context=True), body) from None
    if b"NaN" in body or b"Infinity" in body:
        _refuse_constants(body)
    return parsed


def check_json(body: bytes) -> None:
    """`MalformedBody` for what Python's own parser lets pass: halves of surrogate pairs, which can be written nowhere,
    and the bare words NaN and Infinity."""
    if any(sign in body for sign in _LET_PASS):
        try:
            pydantic_core.from_json(body, allow_inf_nan=False)
        except ValueError as error:
            raise MalformedBody(f"The body is not valid JSON: {error}.") from None


def _refuse_constants(body: bytes) -> None:
    """pydantic takes the bare words NaN and Infinity for numbers; a field that we do not know would go on as null."""
    try:
        msgspec.json.decode(body)
    except msgspec.DecodeError:
        raise MalformedBody("The body is not valid JSON: NaN and Infinity are no numbers in JSON.") from None


def invalid_body(errors: Sequence[Any], body: bytes) -> InvalidRequest:
    """`errors` as pydantic lists them."""
    first = errors[0]
    if first["type"] == "json_invalid":
        if not body.strip():
            return MalformedBody("The request has no body; it must be a JSON object.")
        return MalformedBody(f"The body is not valid JSON: {first['ctx']['error']}.")
    return invalid_value(errors, _loaded(body))


def _loaded(body: bytes) -> Any:
    """What validation looked at, to find its way around in. Python refuses some numbers that pydantic reads."""
    return json.loads(body, parse_int=lambda digits: digits)


def invalid_value(errors: Sequence[Any], value: Any) -> InvalidRequest:
    """One error for all that pydantic lists about `value`: of the place that its validation got furthest into."""
    placed = [(_place(error, value), error) for error in map(_at_its_tag, errors)]
    deepest = max(len(place) for place, _ in placed)
    place, first = next(found for found in placed if len(found[0]) == deepest)
    here = [error for found, error in placed if found == place]
    param = param_of(place)
    if not isinstance(value, dict):
        return InvalidRequest("The body must be a JSON object.", code="invalid_type")
    code = _CODES.get(first["type"]) or ("invalid_type" if _is_of_wrong_type(here) else "invalid_value")
    text = ", or ".join(_unique(map(_reason, here)))
    return InvalidRequest(f"{param}: {text}." if param else f"{text}.", param=param or None, code=code)


def param_of(place: Iterable[str | int]) -> str:
    """`("messages", 0, "content")` as OpenAI writes it: `messages[0].content`."""
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _at_its_tag(error: Any) -> Any:
    """A value that fits no member of a union is wrong in the field that tells the members apart."""
    tag = error.get("ctx", {}).get("discriminator", "")
    if not tag.startswith("'"):
        return error
    kind = "missing" if error["type"] == "union_tag_not_found" else error["type"]
    return {**error, "type": kind, "loc": (*error["loc"], tag.strip("'"))}


def _is_of_wrong_type(errors: Sequence[Any]) -> bool:
    """Whether a value of another type would do. One that is none of some words is wrong in type if any text will do."""
    kinds = {error["type"] for error in errors} - {"literal_error"}
    return bool(kinds) and all(kind.endswith("_type") for kind in kinds)


def _place(error: Any, value: Any) -> tuple[str | int, ...]:
    """The part of pydantic's `loc` that is in the value: the rest are names of union members."""
    place: list[str | int] = []
    steps = error["loc"]
    for number, step in enumerate(steps):
        missing = error["type"] == "missing" and number == len(steps) - 1
        if _holds(value, step):
            value = value[step]
        elif not missing:
            continue
        place.append(step)
    return tuple(place)


def _holds(value: Any, step: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(step, int) and step < len(value)
    return isinstance(value, dict) and step in value


def _reason(error: Any) -> str:
    if error["type"] == "missing":
        return "this field is required"
    text: str = error["msg"].removeprefix("Value error, ").rstrip(".")
    return text[:1].lower() + text[1:]


def _unique(reasons: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(reasons))[:_ALTERNATIVES_MAX]
