"""What FastAPI routes have in common."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel

from llama_stack.http.dispatch import SCOPE_KEY
from llama_stack_api.anthropic.errors import ErrorResponse as AnthropicErrorResponse
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.openai.responses.settings import Include
from llama_stack_api.paging import LIMIT_DEFAULT, LIMIT_MAX, EitherPageParams, Order
from llama_stack_api.principal import Call


async def _call(request: Request) -> Call:
    call: Call = request.scope[SCOPE_KEY].call()
    return call


def documented_errors(error: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """What the OpenAPI document says of replies that are errors."""
    return {
        "4XX": {"model": error, "description": "The request is refused; the error says why."},
        "5XX": {"model": error, "description": "The server or the model's provider failed."},
    }


ANTHROPIC_DOCUMENTED = documented_errors(AnthropicErrorResponse)

CallOf: TypeAlias = Annotated[Call, Depends(_call)]
"""What goes down with the request."""


After: TypeAlias = Annotated[str | None, Query(description="The last id of the page before.")]
Limit: TypeAlias = Annotated[int, Query(ge=1, le=LIMIT_MAX)]
ByCreation: TypeAlias = Annotated[Order, Query(description="By time of creation.")]


async def _paged(
    after: After = None,
    before: Annotated[str | None, Query(description="The first id of the page after.")] = None,
    limit: Limit = LIMIT_DEFAULT,
    order: ByCreation = "desc",
) -> EitherPageParams:
    return EitherPageParams(after=after, before=before, limit=limit, order=order)


Paged: TypeAlias = Annotated[EitherPageParams, Depends(_paged)]


async def _included(
    request: Request,
    include: Annotated[list[Include] | None, Query(description="What else to show; also as `include[]`.")] = None,
) -> list[Include]:
    return [*(include or ()), *request.query_params.getlist("include[]")]  # OpenAI's clients write the brackets


Included: TypeAlias = Annotated[list[Include], Depends(_included)]


def json_response(body: bytes) -> Response:
    """A reply that is JSON already."""
    return Response(body, media_type="application/json")


def form_body(fields: type[BaseModel], *, file: str) -> dict[str, Any]:
    """OpenAPI's words for a form with a file, which its route reads as it comes: `fields` beside the part `file`."""
    schema = _inlined(fields.model_json_schema(), {})
    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {file: {"type": "string", "format": "binary"}, **schema.get("properties", {})},
                        "required": [file, *schema.get("required", ())],
                    }
                }
            },
        }
    }


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """Without references: the document's own definitions are FastAPI's to make."""
    if isinstance(schema, list):
        return [_inlined(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    definitions = {**definitions, **schema.get("$defs", {})}
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {key: _inlined(value, definitions) for key, value in schema.items() if key != "$defs"}


def shown(reply: BaseModel) -> Response:
    """A reply without what nobody set: nulls are sent where its type says so."""
    return json_response(reply.model_dump_json(exclude_unset=True).encode())


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
    """The pairs that a query has for it. `InvalidRequest` for what reads like one and would filter nothing."""
    pairs: dict[str, str] = {}
    for parameter, value in request.query_params.multi_items():
        if parameter != name and not parameter.startswith(f"{name}["):
            continue
        key = parameter.removeprefix(f"{name}[").removesuffix("]")
        if parameter != f"{name}[{key}]" or not key:
            raise InvalidRequest(f"{name}: write {name}[key]=value in the query.", param=name, code="invalid_value")
        if key in pairs:
            raise InvalidRequest(f"{name}: a key has one value.", param=f"{name}.{key}", code="invalid_value")
        pairs[key] = value
    return pairs
