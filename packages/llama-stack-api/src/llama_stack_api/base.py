"""What all wire types share.

Unknown fields are kept at every level and serialised again: `model_dump_json(exclude_unset=True)` of a parsed request
is what the client sent. Requests are strict about JSON types (`"0.7"` is not a number, `1` is not a boolean) because a
silent conversion would no longer be what the client sent; replies are lenient: upstreams are not ours to correct.

A field whose values providers extend (`service_tier`, `finish_reason`, …) is typed `Literal[…] | str`: the contract's
values are documented, others pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Strict, StringConstraints
from pydantic.config import JsonDict

OTHER = "other"
"""Tag of the member of a union that takes values of unknown type."""

DEPRECATED: JsonDict = {"deprecated": True}
"""For `json_schema_extra`: documents what `Field(deprecated=True)` would also warn of at every access."""


class WireModel(BaseModel):
    """Base of requests, replies and their parts. Validators are built on first use.

    In an object made in Python, a default other than None counts as set, as if the caller had written it: thus
    `UserMessage(content="hi")` keeps its role under `exclude_unset`, which leaves out only what nobody meant to send.
    """

    model_config = ConfigDict(extra="allow", defer_build=True, serialize_by_alias=True, allow_inf_nan=False)

    nulls_sent: ClassVar[frozenset[str]] = frozenset()
    """Fields whose null is sent too: the contract requires them, and many upstreams leave them out."""

    __meant_defaults__: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.__meant_defaults__ = cls.nulls_sent.union(
            name for name, field in cls.model_fields.items() if not field.is_required() and field.default is not None
        )

    if not TYPE_CHECKING:

        def __init__(self, /, **data: Any) -> None:
            super().__init__(**data)
            self.model_fields_set.update(self.__meant_defaults__)

        # As for pydantic's own: parsing need not call it, neither for speed nor for what was sent.
        __init__.__pydantic_base_init__ = True


JsonObject: TypeAlias = dict[str, Any]
"""An object whose properties no contract names: a JSON Schema, provider settings."""

Integer: TypeAlias = Annotated[int, Strict()]
Number: TypeAlias = Annotated[float, Strict()]
Flag: TypeAlias = Annotated[bool, Strict()]

Integer64: TypeAlias = Annotated[int, Strict(), Field(ge=-(2**63), lt=2**63)]
"""Before `Number` in a union: whole numbers beyond 64 bits are floats, as they are to most readers of JSON."""

Scalar: TypeAlias = Annotated[str | Flag | Integer64 | Number, Field(union_mode="left_to_right")]
"""A value that can be compared."""

Metadata: TypeAlias = Annotated[
    dict[Annotated[str, StringConstraints(max_length=64)], Annotated[str, StringConstraints(max_length=512)]],
    Field(max_length=16, description="Up to 16 pairs; keys of up to 64 and values of up to 512 characters."),
]


def _whole_seconds(value: Any) -> Any:
    return int(value) if isinstance(value, float) else value


UnixTime: TypeAlias = Annotated[int, BeforeValidator(_whole_seconds, json_schema_input_type=int)]
"""Seconds since 1970. Fractions, which some upstreams send, are cut off."""


def by_type(*known: str, default: str = OTHER) -> Discriminator:
    """Choose a union's member by the `type` of the value: one of `known`, else the member tagged `OTHER`.

    `default` is the member for values without a `type`.
    """

    def tag(value: Any) -> str:
        kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
        if kind is None:
            return default
        return kind if isinstance(kind, str) and kind in known else OTHER

    return Discriminator(tag)


def other_than(*known: str) -> Callable[[JsonDict], None]:
    """For `json_schema_extra` of a fallback's `type`: says that it is none of `known`, so that one member matches."""

    def extend(schema: JsonDict) -> None:
        schema["not"] = {"enum": list(known)}

    return extend
