"""The wire types state every property of OpenAI's contract, with its type and values."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from llama_stack_api.openai.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionRequest
from llama_stack_api.openai.completions import Completion, CompletionRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest, EmbeddingsResponse
from llama_stack_api.openai.models import Model, ModelDeleted, ModelList
from llama_stack_api.openai.stored import (
    ChatCompletionDeleted,
    ChatCompletionList,
    ChatCompletionMessageList,
    ListChatCompletionsParams,
    ListMessagesParams,
    StoredChatCompletion,
    UpdateChatCompletionRequest,
)
from tests.support.contract import operation_properties, shortfalls, wanted

Types = dict[Literal["query", "request", "reply", "event"], type[BaseModel]]

OPERATIONS: dict[tuple[str, str], Types] = {
    ("get", "/v1/chat/completions"): {"query": ListChatCompletionsParams, "reply": ChatCompletionList},
    ("post", "/v1/chat/completions"): {
        "request": ChatCompletionRequest, "reply": ChatCompletion, "event": ChatCompletionChunk,
    },
    ("get", "/v1/chat/completions/{id}"): {"reply": StoredChatCompletion},
    ("post", "/v1/chat/completions/{id}"): {"request": UpdateChatCompletionRequest, "reply": StoredChatCompletion},
    ("delete", "/v1/chat/completions/{id}"): {"reply": ChatCompletionDeleted},
    ("get", "/v1/chat/completions/{id}/messages"): {"query": ListMessagesParams, "reply": ChatCompletionMessageList},
    ("post", "/v1/completions"): {"request": CompletionRequest, "reply": Completion},
    ("post", "/v1/embeddings"): {"request": EmbeddingsRequest, "reply": EmbeddingsResponse},
    ("get", "/v1/models"): {"reply": ModelList},
    ("get", "/v1/models/{model}"): {"reply": Model},
    ("delete", "/v1/models/{model}"): {"reply": ModelDeleted},
}  # fmt: skip


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """An OpenAPI document of the types alone, without a server."""
    modes = {"query": "validation", "request": "validation", "reply": "serialization", "event": "serialization"}
    used = {(model, modes[role]) for types in OPERATIONS.values() for role, model in types.items()}
    references, definitions = models_json_schema(
        sorted(used, key=str),
        ref_template="#/components/schemas/{model}",  # type: ignore[arg-type]
    )
    schemas = definitions["$defs"]

    def operation(types: Types) -> dict[str, Any]:
        reference = {role: references[model, modes[role]] for role, model in types.items()}  # type: ignore[index]
        content = {"application/json": {"schema": reference["reply"]}}
        if "event" in reference:
            content["text/event-stream"] = {"schema": reference["event"]}
        stated: dict[str, Any] = {"responses": {"200": {"content": content}}}
        if "request" in reference:
            stated["requestBody"] = {"content": {"application/json": {"schema": reference["request"]}}}
        if "query" in reference:
            query = schemas[reference["query"]["$ref"].rpartition("/")[2]]
            stated["parameters"] = [
                {"in": "query", "name": name, "schema": schema} for name, schema in query["properties"].items()
            ]
        return stated

    paths: dict[str, Any] = {}
    for (method, path), types in OPERATIONS.items():
        paths.setdefault(path, {})[method] = operation(types)
    return {"openapi": "3.1.0", "paths": paths, "components": {"schemas": schemas}}


def test_nothing_of_the_contract_is_missing(document: dict[str, Any]) -> None:
    assert shortfalls(document) == []


def test_the_contract_covers_every_operation_of_the_four_families() -> None:
    assert {(want.method, want.path.replace("{completion_id}", "{id}")) for want in wanted()} == {
        (method, path.removeprefix("/v1")) for method, path in OPERATIONS
    }


def test_a_missing_property_a_wrong_type_and_a_missing_value_are_noticed(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    fields = dict(schemas["ChatCompletionRequest"]["properties"])
    del fields["seed"]
    fields["user"] = {"type": "integer"}
    fields["verbosity"] = {"type": "string", "enum": ["low"]}
    broken = {**schemas, "ChatCompletionRequest": {**schemas["ChatCompletionRequest"], "properties": fields}}

    found = shortfalls({**document, "components": {"schemas": broken}})

    assert found == [
        "POST /chat/completions >.seed: absent",
        "POST /chat/completions >.user: ['integer', 'number'] does not admit ['string']",
        "POST /chat/completions >.verbosity: lacks ['high', 'medium']",
    ]


def test_no_property_that_the_contract_types_is_untyped(document: dict[str, Any]) -> None:
    untyped = [
        (method, path, place)
        for method, path in OPERATIONS
        for place, stated in operation_properties(document, method, path).items()
        if not stated.types and not stated.values
    ]
    assert untyped == []


def test_fallback_members_of_unions_exclude_what_is_known(document: dict[str, Any]) -> None:
    """So that exactly one member of each `oneOf` matches."""
    other = document["components"]["schemas"]["OtherPart"]["properties"]["type"]
    assert other["not"] == {"enum": ["text", "image_url", "input_audio", "file", "refusal"]}
