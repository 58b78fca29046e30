"""An OpenAPI document of wire types alone, without a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

Role: TypeAlias = Literal["query", "request", "reply", "event"]
Operations: TypeAlias = Mapping[tuple[str, str], Mapping[Role, type[BaseModel]]]

MODES: Mapping[Role, Literal["validation", "serialization"]] = {
    "query": "validation", "request": "validation", "reply": "serialization", "event": "serialization",
}  # fmt: skip


def document_of(operations: Operations) -> dict[str, Any]:
    """The types of each (method, path), as what they are for."""
    used = {(model, MODES[role]) for types in operations.values() for role, model in types.items()}
    references, definitions = models_json_schema(sorted(used, key=str), ref_template="#/components/schemas/{model}")
    schemas = definitions["$defs"]

    def operation(types: Mapping[Role, type[BaseModel]]) -> dict[str, Any]:
        schema = {role: references[model, MODES[role]] for role, model in types.items()}
        content = {"application/json": {"schema": schema["reply"]}}
        if "event" in schema:
            content["text/event-stream"] = {"schema": schema["event"]}
        stated: dict[str, Any] = {"responses": {"200": {"content": content}}}
        if "request" in schema:
            stated["requestBody"] = {"content": {"application/json": {"schema": schema["request"]}}}
        if "query" in schema:
            fields = schemas[schema["query"]["$ref"].rpartition("/")[2]]["properties"]
            stated["parameters"] = [{"in": "query", "name": name, "schema": field} for name, field in fields.items()]
        return stated

    paths: dict[str, Any] = {}
    for (method, path), types in operations.items():
        paths.setdefault(path, {})[method] = operation(types)
    return {"openapi": "3.1.0", "paths": paths, "components": {"schemas": schemas}}
