"""Filters over attributes, as in a vector store search: comparisons, joined by `and` and `or`."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from llama_stack_api.base import Flag, Integer, Number, WireModel

Scalar: TypeAlias = Annotated[str | Flag | Integer | Number, Field(union_mode="left_to_right")]


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
