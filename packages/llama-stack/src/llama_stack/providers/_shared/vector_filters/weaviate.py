"""Filters as Weaviate's `where`, over the tags of attributes.

`NotEqual` on a list of texts holds where no text in it is equal, also where there is none.
"""

from __future__ import annotations

from typing import Any

from llama_stack.providers._shared.vector_filters.tagged import Bears, Order, Resolved, Tagged


def of_document(document: str) -> dict[str, Any]:
    return {"path": ["document"], "operator": "Equal", "valueText": document}


def where(wanted: Resolved) -> dict[str, Any] | None:
    """None for what matches everything."""
    return None if isinstance(wanted, bool) else _where(wanted)


def _where(wanted: Tagged) -> dict[str, Any]:
    if isinstance(wanted, Order):
        raise TypeError("Weaviate orders nothing here: values are resolved to tags before")
    if not isinstance(wanted, Bears):
        return _joined("And" if wanted.every else "Or", [_where(part) for part in wanted.parts])
    if not wanted.not_any:
        return {"path": ["tags"], "operator": "ContainsAny", "valueText": list(wanted.tags)}
    others = [{"path": ["tags"], "operator": "NotEqual", "valueText": tag} for tag in wanted.tags]
    return others[0] if len(others) == 1 else _joined("And", others)


def _joined(operator: str, operands: list[dict[str, Any]]) -> dict[str, Any]:
    return {"operator": operator, "operands": operands}
