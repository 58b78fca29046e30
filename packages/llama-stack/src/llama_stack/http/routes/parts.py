"""What FastAPI routes have in common."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from fastapi import Depends, Request, Response

from llama_stack.http.dispatch import SCOPE_KEY
from llama_stack_api.principal import Call


def _call(request: Request) -> Call:
    call: Call = request.scope[SCOPE_KEY].call()
    return call


CallOf: TypeAlias = Annotated[Call, Depends(_call)]
"""What goes down with the request."""


def json_response(body: bytes) -> Response:
    """A reply that is JSON already."""
    return Response(body, media_type="application/json")


def deep_object(name: str, description: str) -> dict[str, Any]:
    """OpenAPI's words for a query parameter of the form `name[key]=value`, which FastAPI does not know."""
    return {
        "name": name,
        "in": "query",
        "required": False,
        "style": "deepObject",
        "explode": True,
        "description": description,
        "schema": {"anyOf": [{"type": "object", "additionalProperties": {"type": "string"}}, {"type": "null"}]},
    }


def deep_object_of(request: Request, name: str) -> dict[str, str]:
    """The pairs that a query has for it."""
    start = f"{name}["
    return {
        key.removeprefix(start).removesuffix("]"): value
        for key, value in request.query_params.items()
        if key.startswith(start) and key.endswith("]")
    }
