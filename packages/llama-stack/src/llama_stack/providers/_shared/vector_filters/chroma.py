"""Attributes as Chroma's metadata, and filters over it.

An attribute is a field that holds its tag, and a number one more that holds its value. `$nin` also matches what has no
such field.
"""

from __future__ import annotations

from typing import Any

from llama_stack.providers._shared.vector_filters.tagged import (
    Bears,
    Order,
    Resolved,
    Tagged,
    key_tag,
    numbers,
    tag,
)
from llama_stack_api.ports.vector_io import Attributes

DOCUMENT = "document"


def metadata_of(document: str, attributes: Attributes) -> dict[str, Any]:
    values = {f"n{key}": value for key, value in numbers(attributes).items()}
    return {DOCUMENT: document, **{key_tag(key): tag(key, value) for key, value in attributes.items()}, **values}


def where(wanted: Resolved) -> dict[str, Any] | None:
    """A `where` of Chroma; None for what matches everything."""
    return None if isinstance(wanted, bool) else _where(wanted)


def _where(wanted: Tagged) -> dict[str, Any]:
    if isinstance(wanted, Bears):
        return {key_tag(wanted.key): {"$nin" if wanted.not_any else "$in": list(wanted.tags)}}
    if isinstance(wanted, Order):
        return {f"n{key_tag(wanted.key)}": {f"${wanted.operator}": float(wanted.value)}}
    return {"$and" if wanted.every else "$or": [_where(part) for part in wanted.parts]}
