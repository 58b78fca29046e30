"""Filters over attributes, as in a vector store search: comparisons, joined by `and` and `or`.

What a comparison means, for every provider alike:
- Values are of three kinds: string, number (integers and fractions are one kind), boolean. Values of different kinds
  are never equal and have no order.
- `eq`, `gt`, `gte`, `lt`, `lte` and `in` match only where the attribute exists. `ne` and `nin` are their exact
  opposites: they also match where it does not exist.
- Strings are ordered by code point; booleans have no order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from llama_stack_api.base import Scalar, WireModel


class ComparisonFilter(WireModel):
    """Compare the attribute `key` with `value`: a list for `in` and `nin`, else one value."""

    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
    key: str
    value: Scalar | list[Scalar]

    @model_validator(mode="after")
    def _list_where_a_list_belongs(self) -> Self:
        if isinstance(self.value, list) != (self.type in ("in", "nin")):
            wanted = "a list" if self.type in ("in", "nin") else "a string, number or boolean"
            raise ValueError(f"the value of {self.type!r} must be {wanted}")
        return self


class CompoundFilter(WireModel):
    """All (`and`) or any (`or`) of `filters` must match."""

    type: Literal["and", "or"]
    filters: list[Filter] = Field(min_length=1)


Filter: TypeAlias = Annotated[ComparisonFilter | CompoundFilter, Field(discriminator="type")]


def matches(wanted: Filter, attributes: Mapping[str, str | float | bool]) -> bool:
    """The meaning of a filter; providers that filter in their own way are held against it."""
    if isinstance(wanted, CompoundFilter):
        some_or_all = all if wanted.type == "and" else any
        return some_or_all(matches(each, attributes) for each in wanted.filters)
    if wanted.type in ("ne", "nin"):
        return not _equals(attributes.get(wanted.key), wanted.value)
    if wanted.type in ("eq", "in"):
        return _equals(attributes.get(wanted.key), wanted.value)
    return _is_ordered(wanted, attributes.get(wanted.key))


def _equals(found: str | float | bool | None, value: Scalar | list[Scalar]) -> bool:
    choices = value if isinstance(value, list) else [value]
    return any(kind_of(found) is kind_of(each) and found == each for each in choices)


def _is_ordered(wanted: ComparisonFilter, found: str | float | bool | None) -> bool:
    value = wanted.value
    kind = kind_of(found)
    if kind not in (str, float) or kind is not kind_of(value):
        return False
    order = (found > value) - (found < value)  # type: ignore[operator]
    return {"gt": order > 0, "gte": order >= 0, "lt": order < 0, "lte": order <= 0}[wanted.type]


def kind_of(value: object) -> type | None:
    """`bool`, `float` (of all numbers) or `str`; None for what is no value of an attribute."""
    if isinstance(value, bool):
        return bool
    if isinstance(value, int | float):
        return float
    return str if isinstance(value, str) else None
