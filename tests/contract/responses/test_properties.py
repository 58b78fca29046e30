"""The types of responses and conversations state every property of OpenAI's contract, with its type and values."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import RootModel

from llama_stack_api.openai.conversations import (
    AddItemsRequest,
    Conversation,
    ConversationDeleted,
    ConversationItem,
    ConversationItemList,
    CreateConversationRequest,
    ItemParams,
    UpdateConversationRequest,
)
from llama_stack_api.openai.responses.events import ResponseStreamEvent
from llama_stack_api.openai.responses.items import ITEM_TYPES
from llama_stack_api.openai.responses.operations import (
    CompactedResponse,
    CompactRequest,
    InputTokens,
    InputTokensRequest,
    ItemList,
    ListInputItemsParams,
    ListItemsParams,
    ResponseDeleted,
    RetrieveResponseParams,
)
from llama_stack_api.openai.responses.request import ResponseRequest
from llama_stack_api.openai.responses.response import Response
from llama_stack_api.openai.responses.tools import TOOL_TYPES
from tests.support.contract import operation_properties, shortfalls
from tests.support.contract_blocks import operations_of_responses, wanted_of_responses
from tests.support.type_document import Operations, document_of


class Event(RootModel[ResponseStreamEvent]):
    pass


class Item(RootModel[ConversationItem]):
    pass


OPERATIONS: Operations = {
    ("post", "/responses"): {"request": ResponseRequest, "reply": Response, "event": Event},
    ("get", "/responses/{response_id}"): {"query": RetrieveResponseParams, "reply": Response},
    ("delete", "/responses/{response_id}"): {"reply": ResponseDeleted},
    ("post", "/responses/{response_id}/cancel"): {"reply": Response},
    ("get", "/responses/{response_id}/input_items"): {"query": ListInputItemsParams, "reply": ItemList},
    ("post", "/responses/input_tokens"): {"request": InputTokensRequest, "reply": InputTokens},
    ("post", "/responses/compact"): {"request": CompactRequest, "reply": CompactedResponse},
    ("post", "/conversations"): {"request": CreateConversationRequest, "reply": Conversation},
    ("get", "/conversations/{conversation_id}"): {"reply": Conversation},
    ("post", "/conversations/{conversation_id}"): {"request": UpdateConversationRequest, "reply": Conversation},
    ("delete", "/conversations/{conversation_id}"): {"reply": ConversationDeleted},
    ("post", "/conversations/{conversation_id}/items"): {
        "query": ItemParams, "request": AddItemsRequest, "reply": ConversationItemList,
    },
    ("get", "/conversations/{conversation_id}/items"): {"query": ListItemsParams, "reply": ConversationItemList},
    ("get", "/conversations/{conversation_id}/items/{item_id}"): {"query": ItemParams, "reply": Item},
    ("delete", "/conversations/{conversation_id}/items/{item_id}"): {"reply": Conversation},
}  # fmt: skip


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return document_of(OPERATIONS)


def test_nothing_of_the_contract_is_missing(document: dict[str, Any]) -> None:
    assert shortfalls(document, wanted_of_responses()) == []


def test_the_contract_covers_every_operation_of_the_two_families() -> None:
    assert operations_of_responses() == OPERATIONS.keys()
    assert len(list(wanted_of_responses())) > 7000


def test_what_is_missing_is_noticed(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    fields = dict(schemas["MCPTool"]["properties"])
    del fields["tunnel_id"]
    broken = {**schemas, "MCPTool": {**schemas["MCPTool"], "properties": fields}}

    found = shortfalls({**document, "components": {"schemas": broken}}, wanted_of_responses())

    assert "POST /responses >.tools[].tunnel_id: absent" in found
    assert all(line.endswith(".tunnel_id: absent") for line in found)


def test_nothing_is_untyped(document: dict[str, Any]) -> None:
    untyped = [
        (method, path, place)
        for method, path in OPERATIONS
        for place, stated in operation_properties(document, method, path).items()
        if not stated.types and not stated.values
    ]
    assert untyped == []


@pytest.mark.parametrize(("fallback", "known"), [("OtherItem", ITEM_TYPES), ("OtherTool", TOOL_TYPES)])
def test_fallback_members_of_unions_exclude_what_is_known(
    document: dict[str, Any], fallback: str, known: tuple[str, ...]
) -> None:
    """So that exactly one member of each `oneOf` matches."""
    other = document["components"]["schemas"][fallback]["properties"]["type"]
    assert other["not"] == {"enum": list(known)}
