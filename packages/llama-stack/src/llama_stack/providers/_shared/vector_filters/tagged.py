"""Attributes as tags, for engines that know only whether a record bears one of some words.

A tag stands for one attribute with one value: a digest of its key, kind and value, always 32 characters of hex. All
that a filter asks for with `eq`, `ne`, `in` and `nin` is then whether a chunk bears one of some tags. What orders
values becomes that too, once it is known which values there are (`attribute_values`), unless the engine orders them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

from llama_stack_api.ports.vector_io import Attributes

Value: TypeAlias = str | float | bool


@dataclass(frozen=True, slots=True)
class Bears:
    """At least one of the tags (never an empty list), all of which are of the attribute `key`; `not_any`: none."""

    key: str
    tags: Sequence[str]
    not_any: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """The attribute `key` is of the kind of `value` and compares so with it; a kind that the engine orders itself."""

    key: str
    operator: Literal["gt", "gte", "lt", "lte"]
    value: str | float


@dataclass(frozen=True, slots=True)
class Joined:
    """All or any of at least two parts."""

    every: bool
    parts: Sequence[Tagged]


Tagged: TypeAlias = Bears | Order | Joined
Resolved: TypeAlias = Tagged | bool
"""True matches every chunk, False none."""


def tag(key: str, value: Value) -> str:
    """Equal for values that are equal to a filter: 1 and 1.0 are, 1 and True are not."""
    return _digest(msgspec.json.encode([key, kind_of(value), _written(value)]))


def key_tag(key: str) -> str:
    """A name for an attribute that any engine takes as the name of a field."""
    return f"k{_digest(key.encode())}"


def tags(attributes: Attributes) -> list[str]:
    return [tag(key, value) for key, value in attributes.items()]


def numbers(attributes: Attributes) -> dict[str, float]:
    """Those attributes that are numbers, by their `key_tag`."""
    return {key_tag(key): float(value) for key, value in attributes.items() if kind_of(value) == "number"}


def kind_of(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else "string"


def bears(key: str, values: Iterable[Value], *, not_any: bool = False) -> Resolved:
    tags = [tag(key, value) for value in values]
    return Bears(key, tags, not_any) if tags else not_any


def joined(every: bool, parts: Iterable[Resolved]) -> Resolved:
    open_parts: list[Tagged] = []
    for part in parts:
        if not isinstance(part, bool):
            open_parts.append(part)
        elif part is not every:  # one that is false among "all", or true among "any"
            return part
    if not open_parts:
        return every
    return open_parts[0] if len(open_parts) == 1 else Joined(every, open_parts)


def _written(value: Value) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return repr(value)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
