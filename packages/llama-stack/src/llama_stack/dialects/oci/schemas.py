"""JSON Schemas as Oracle takes them: without references, and without a union that only says that null is allowed."""

from __future__ import annotations

from typing import Any, Final

from llama_stack.dialects.chat.values import Json, mapping
from llama_stack_api.errors import InvalidRequest

DEPTH_MAX: Final = 64
NODES_MAX: Final = 20_000
_DEFINITIONS: Final = ("$defs", "definitions")


def plain_schema(schema: Any) -> Json:
    """The same schema with its definitions put where they are used. One that contains itself is an object of any form
    where it would begin again. `InvalidRequest` for one that becomes too large: definitions that use others twice each
    double with every one of them."""
    root = mapping(schema)
    used = {name: member for name, member in root.items() if name not in _DEFINITIONS}
    inlined: Json = _Inlining(root).of(used)
    return inlined


class _Inlining:
    def __init__(self, root: Json) -> None:
        self._root = root
        self._nodes_left = NODES_MAX

    def of(self, node: Any, within: tuple[str, ...] = (), depth: int = 0) -> Any:
        self._nodes_left -= 1
        if self._nodes_left < 0:
            raise InvalidRequest(
                f"A JSON schema has more than {NODES_MAX} parts once its definitions stand where they are used."
            )
        if depth > DEPTH_MAX:
            return {}
        if isinstance(node, list):
            return [self.of(item, within, depth + 1) for item in node]
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref")
        if isinstance(reference, str):
            others = {name: member for name, member in node.items() if name != "$ref"}
            if reference in within:
                return {"type": "object", **others}
            found = _definition(reference, self._root)
            if found is not None:
                return self.of({**found, **others}, (*within, reference), depth + 1)
        return _without_null({name: self.of(member, within, depth + 1) for name, member in node.items()})


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
