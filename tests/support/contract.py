"""Holds an OpenAPI document against the properties that a published contract states, kept in `tests/contract/data`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]

DATA = Path(__file__).parents[1] / "contract" / "data"
PROPERTIES = DATA / "openai_properties.txt"
ANTHROPIC_PROPERTIES = DATA / "anthropic_properties.txt"
DEPTH_MAX = 8


@dataclass
class Property:
    """The JSON types and the literal texts that a property may have, over all members of its unions."""

    types: set[str] = field(default_factory=set)
    values: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Wanted:
    method: str
    path: str
    place: str
    types: frozenset[str]
    values: frozenset[str]


def wanted(stated: Path = PROPERTIES) -> Iterator[Wanted]:
    for line in stated.read_text().splitlines():
        if not line.startswith("#"):
            method, path, place, types, values = line.split(" ")
            yield Wanted(
                method, path, place,
                frozenset() if types == "any" else frozenset(types.split("|")),
                frozenset() if values == "-" else frozenset(values.split("|")),
            )  # fmt: skip


def _resolve(document: Json, node: Json) -> Json:
    while "$ref" in node:
        target: Any = document
        for key in node["$ref"].removeprefix("#/").split("/"):
            target = target[key]
        node = target
    return node


def _members(document: Json, node: Json) -> Iterator[Json]:
    node = _resolve(document, node)
    parts = [part for key in ("allOf", "anyOf", "oneOf") for part in node.get(key, ())]
    for part in parts:
        yield from _members(document, part)
    if not parts or "properties" in node:
        yield node


def properties(document: Json, schema: Json, place: str = "") -> dict[str, Property]:
    """Every property that is reachable from a schema, by its path (`.messages[].role`)."""
    found: dict[str, Property] = {}

    def walk(node: Json, path: str, depth: int, above: tuple[int, ...]) -> None:
        for member in _members(document, node):
            if id(member) in above:
                continue
            entry = found.setdefault(path, Property())
            kinds = member.get("type", [])
            entry.types |= {kinds} if isinstance(kinds, str) else set(kinds)
            if "integer" in entry.types:
                entry.types.add("number")
            literals = member.get("enum", [member.get("const")])
            entry.values |= {value for value in literals if isinstance(value, str)}
            if depth < DEPTH_MAX:
                for name, part in member.get("properties", {}).items():
                    walk(part, f"{path}.{name}", depth + 1, (*above, id(member)))
                if isinstance(member.get("items"), dict):
                    walk(member["items"], f"{path}[]", depth + 1, (*above, id(member)))

    walk(schema, place, 0, ())
    return found


def _shape(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path.removeprefix("/v1"))


def operation_properties(document: Json, method: str, path: str) -> dict[str, Property]:
    """The properties of an operation's query (?), request (>), reply (<) and streamed events (<<)."""
    served = {_shape(p): item for p, item in document["paths"].items()}
    operation = served.get(_shape(path), {}).get(method)
    if operation is None:
        return {}
    found: dict[str, Property] = {}
    for parameter in operation.get("parameters", ()):
        parameter = _resolve(document, parameter)
        if parameter["in"] == "query":
            found |= properties(document, parameter["schema"], f"?{parameter['name']}")
    request = _resolve(document, operation.get("requestBody", {})).get("content", {})
    if "application/json" in request:
        found |= properties(document, request["application/json"]["schema"], ">")
    for status, reply in operation["responses"].items():
        content = _resolve(document, reply).get("content", {})
        if str(status).startswith("2"):
            for media, place in (("application/json", "<"), ("text/event-stream", "<<")):
                if media in content:
                    found |= properties(document, content[media]["schema"], place)
    return found


def shortfalls(document: Json, stated: Iterable[Wanted] | None = None) -> list[str]:
    """What the contract states and the document does not: absent, of another type, or lacking values."""
    have: dict[tuple[str, str], dict[str, Property]] = {}
    missing = []
    for want in wanted() if stated is None else stated:
        key = (want.method, want.path)
        if key not in have:
            have[key] = operation_properties(document, *key)
        got = have[key].get(want.place)
        name = f"{want.method.upper()} {want.path} {want.place}"
        if got is None:
            missing.append(f"{name}: absent")
        elif not want.types <= got.types:
            missing.append(f"{name}: {sorted(got.types)} does not admit {sorted(want.types)}")
        elif got.values and not want.values <= got.values:
            missing.append(f"{name}: lacks {sorted(want.values - got.values)}")
    return missing
