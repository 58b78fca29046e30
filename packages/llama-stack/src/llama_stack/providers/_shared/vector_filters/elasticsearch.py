"""Attributes as fields of Elasticsearch, and filters as its queries.

Each attribute is a nested object of its key and its value; a `keyword` is ordered by code point.
"""

from __future__ import annotations

from typing import Any

from llama_stack.providers._shared.vector_filters.tagged import Bears, Order, Resolved, Tagged, key_tag, kind_of, tags
from llama_stack_api.ports.vector_io import Attributes

PROPERTIES: dict[str, Any] = {
    "tags": {"type": "keyword"},
    "attributes": {
        "type": "nested",
        "properties": {"key": {"type": "keyword"}, "string": {"type": "keyword"}, "number": {"type": "double"}},
    },
}


def fields_of(attributes: Attributes) -> dict[str, Any]:
    nested = [
        {"key": key_tag(key), kind_of(value): value}
        for key, value in attributes.items()
        if kind_of(value) in ("string", "number")
    ]
    return {"tags": tags(attributes), "attributes": nested}


def of_document(document: str) -> dict[str, Any]:
    return {"term": {"document": document}}


def query_of(wanted: Resolved) -> list[dict[str, Any]]:
    """Queries that must all match; none for what matches everything."""
    return [] if isinstance(wanted, bool) else [_query(wanted)]


def _query(wanted: Tagged) -> dict[str, Any]:
    if isinstance(wanted, Bears):
        return {"bool": {"must_not" if wanted.not_any else "filter": [{"terms": {"tags": list(wanted.tags)}}]}}
    if isinstance(wanted, Order):
        value = wanted.value if isinstance(wanted.value, str) else float(wanted.value)
        pair = [
            {"term": {"attributes.key": key_tag(wanted.key)}},
            {"range": {f"attributes.{kind_of(value)}": {wanted.operator: value}}},
        ]
        return {"nested": {"path": "attributes", "query": {"bool": {"filter": pair}}}}
    parts = [_query(part) for part in wanted.parts]
    return {"bool": {"filter": parts} if wanted.every else {"should": parts, "minimum_should_match": 1}}
