"""JSON Schemas as Oracle takes them: without references, and without a union that only says that null is allowed."""

from __future__ import annotations

from typing import Any, Final

from llama_stack.dialects.anthropic.values import Json, mapping

DEPTH_MAX: Final = 64
_DEFINITIONS: Final = ("$defs", "definitions")


def plain_schema(schema: Any) -> Json:
    """The same schema with its definitions put where they are used. One that contains itself is an object of any form
    where it would begin again."""
    root = mapping(schema)
    inlined = _inlined(root, root, ())
    return {name: member for name, member in inlined.items() if name not in _DEFINITIONS}


def _inlined(node: Any, root: Json, within: tuple[str, ...], depth: int = 0) -> Any:
    if depth > DEPTH_MAX:
        return {}
    if isinstance(node, list):
        return [_inlined(item, root, within, depth + 1) for item in node]
    if not isinstance(node, dict):
        return node
    reference = node.get("$ref")
    if isinstance(reference, str):
        others = {name: member for name, member in node.items() if name != "$ref"}
        if reference in within:
            return {"type": "object", **others}
        found = _definition(reference, root)
        if found is not None:
            return _inlined({**found, **others}, root, (*within, reference), depth + 1)
    return _without_null({name: _inlined(member, root, within, depth + 1) for name, member in node.items()})


def _definition(reference: str, root: Json) -> Json | None:
    kind, _, name = reference.removeprefix("#/").partition("/")
    found = mapping(root.get(kind)).get(name) if kind in _DEFINITIONS else None
    return found if isinstance(found, dict) else None


def _without_null(node: Json) -> Json:
    for union in ("anyOf", "oneOf"):
        choices = node.get(union)
        if isinstance(choices, list) and {"type": "null"} in choices:
            others = [choice for choice in choices if choice != {"type": "null"}]
            rest = {name: member for name, member in node.items() if name != union}
            if len(others) == 1 and isinstance(others[0], dict):
                return {**others[0], **rest}
    return node
