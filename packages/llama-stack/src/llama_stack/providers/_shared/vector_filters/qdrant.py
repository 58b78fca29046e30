"""Attributes as Qdrant's payload, and filters over it."""

from __future__ import annotations

from typing import Any

from llama_stack.providers._shared.vector_filters.tagged import (
    Bears,
    Order,
    Resolved,
    Tagged,
    key_tag,
    numbers,
    tags,
)
from llama_stack_api.ports.vector_io import Attributes

INDEXED_FIELDS = {"document": "keyword", "tags": "keyword", "numbers[].key": "keyword", "numbers[].value": "float"}


def payload_of(attributes: Attributes) -> dict[str, Any]:
    pairs = [{"key": key, "value": value} for key, value in numbers(attributes).items()]
    return {"tags": tags(attributes), "numbers": pairs}


def of_document(document: str) -> dict[str, Any]:
    return {"must": [{"key": "document", "match": {"value": document}}]}


def query_filter(wanted: Resolved) -> dict[str, Any] | None:
    """A `Filter` of Qdrant; None for what matches everything."""
    return None if isinstance(wanted, bool) else _filter(wanted)


def _filter(wanted: Tagged) -> dict[str, Any]:
    if isinstance(wanted, Bears):
        return {"must_not" if wanted.not_any else "must": [{"key": "tags", "match": {"any": list(wanted.tags)}}]}
    if isinstance(wanted, Order):
        pair = [
            {"key": "key", "match": {"value": key_tag(wanted.key)}},
            {"key": "value", "range": {wanted.operator: float(wanted.value)}},
        ]
        return {"must": [{"nested": {"key": "numbers", "filter": {"must": pair}}}]}
    return {"must" if wanted.every else "should": [_filter(part) for part in wanted.parts]}
