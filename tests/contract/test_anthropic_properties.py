"""The wire types state every property of Anthropic's contract, with its type and values."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import RootModel

from llama_stack_api.anthropic.batches import (
    CreateMessageBatchRequest,
    DeletedMessageBatch,
    MessageBatch,
    MessageBatchList,
    MessageBatchRequest,
)
from llama_stack_api.anthropic.blocks import BLOCK_TYPES
from llama_stack_api.anthropic.events import MessageStreamEvent
from llama_stack_api.anthropic.messages import CountTokensRequest, CreateMessageRequest, Message, TokenCount
from llama_stack_api.anthropic.models import ListParams
from tests.support.contract import ANTHROPIC_PROPERTIES, operation_properties, shortfalls, wanted
from tests.support.type_document import Operations, document_of


class Event(RootModel[MessageStreamEvent]):
    pass


BATCH = "/messages/batches/{message_batch_id}"
OPERATIONS: Operations = {
    ("post", "/messages"): {"request": CreateMessageRequest, "reply": Message, "event": Event},
    ("post", "/messages/count_tokens"): {"request": CountTokensRequest, "reply": TokenCount},
    ("post", "/messages/batches"): {"request": CreateMessageBatchRequest, "reply": MessageBatch},
    ("get", "/messages/batches"): {"query": ListParams, "reply": MessageBatchList},
    ("get", BATCH): {"reply": MessageBatch},
    ("delete", BATCH): {"reply": DeletedMessageBatch},
    ("post", f"{BATCH}/cancel"): {"reply": MessageBatch},
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return document_of(OPERATIONS)


def test_nothing_of_the_contract_is_missing(document: dict[str, Any]) -> None:
    assert shortfalls(document, wanted(ANTHROPIC_PROPERTIES)) == []


def test_the_contract_covers_every_operation_with_a_reply_in_json() -> None:
    assert {(want.method, want.path) for want in wanted(ANTHROPIC_PROPERTIES)} == set(OPERATIONS)


def test_what_the_data_leaves_out_is_of_the_same_types() -> None:
    assert issubclass(CreateMessageRequest, CountTokensRequest)
    assert MessageBatchRequest.model_fields["params"].annotation is CreateMessageRequest


def test_no_property_is_untyped(document: dict[str, Any]) -> None:
    untyped = [
        (method, path, place)
        for method, path in OPERATIONS
        for place, stated in operation_properties(document, method, path).items()
        if not stated.types and not stated.values
    ]
    assert untyped == []


def test_fallback_members_of_unions_exclude_what_is_known(document: dict[str, Any]) -> None:
    """So that exactly one member of each `oneOf` matches."""
    schemas = document["components"]["schemas"]
    assert schemas["OtherBlock"]["properties"]["type"]["not"] == {"enum": list(BLOCK_TYPES)}
    assert "web_search" in schemas["OtherTool"]["properties"]["type"]["not"]["pattern"]
