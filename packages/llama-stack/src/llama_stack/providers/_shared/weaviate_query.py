"""Weaviate's GraphQL, of which searches are written."""

from __future__ import annotations

import re
from typing import Any

import msgspec

_NAME = re.compile(r"[A-Za-z_][0-9A-Za-z_]*")
_ENUMS = frozenset({"operator", "order"})
"""Arguments whose values are names, not texts."""


def get_query(collection: str, arguments: dict[str, Any], fields: str) -> str:
    """A query of one collection's objects. Arguments that are None are left out."""
    if not _NAME.fullmatch(collection):
        raise ValueError(f"{collection!r} is not the name of a collection")
    given = " ".join(f"{name}: {_literal(value, name)}" for name, value in arguments.items() if value is not None)
    return f"{{ Get {{ {collection}({given}) {{ {fields} }} }} }}"


def _literal(value: Any, name: str = "") -> str:
    if isinstance(value, dict):
        return "{" + " ".join(f"{key}: {_literal(each, key)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_literal(each) for each in value) + "]"
    if name in _ENUMS:
        return str(value)
    # Texts and numbers are written as in JSON, whose escapes are among those of GraphQL.
    return msgspec.json.encode(value).decode()
