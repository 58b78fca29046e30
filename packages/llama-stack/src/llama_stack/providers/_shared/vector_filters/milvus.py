"""Attributes as fields of Milvus, and filters as its boolean expressions.

All that is written into an expression is a digest in hex or a number, so nothing needs an escape.
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
    tags,
)
from llama_stack_api.ports.vector_io import Attributes

_OPERATORS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def fields_of(document: str, attributes: Attributes) -> dict[str, Any]:
    return {"document": tag("document", document), "tags": tags(attributes), "numbers": numbers(attributes)}


def of_document(document: str) -> str:
    return f'document == "{tag("document", document)}"'


def expression(wanted: Resolved) -> str:
    """Empty for what matches everything."""
    return "" if isinstance(wanted, bool) else _expression(wanted)


def _expression(wanted: Tagged) -> str:
    if isinstance(wanted, Bears):
        listed = ", ".join(f'"{each}"' for each in wanted.tags)
        return f"{'not ' if wanted.not_any else ''}array_contains_any(tags, [{listed}])"
    if isinstance(wanted, Order):
        return f'numbers["{key_tag(wanted.key)}"] {_OPERATORS[wanted.operator]} {float(wanted.value)!r}'
    return (" and " if wanted.every else " or ").join(f"({_expression(part)})" for part in wanted.parts)
