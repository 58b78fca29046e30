"""The `openai` package's own types accept, strictly, every item, event and reply of ours; and ours accept theirs."""

from __future__ import annotations

import json
import random
from typing import Any, Literal

import pytest
from openai.types.conversations import Conversation as SDKConversation
from openai.types.conversations import ConversationDeletedResource
from openai.types.conversations import ConversationItem as SDKConversationItem
from openai.types.conversations import ConversationItemList as SDKConversationItemList
from openai.types.responses import CompactedResponse as SDKCompactedResponse
from openai.types.responses import Response as SDKResponse
from openai.types.responses import ResponseItemList, ResponseOutputItem
from openai.types.responses import ResponseStreamEvent as SDKEvent
from openai.types.responses import Tool as SDKTool
from openai.types.responses.input_token_count_response import InputTokenCountResponse
from openai.types.shared import ComparisonFilter as SDKComparisonFilter
from openai.types.shared import CompoundFilter as SDKCompoundFilter
from pydantic import BaseModel, TypeAdapter
from pydantic_core import from_json

from llama_stack_api.openai import conversations
from llama_stack_api.openai.responses import events, items, operations, response, tools
from tests.contract.responses.replies import IN_CONVERSATIONS, made, sent
from tests.support.instances import Maker, Places, is_fallback, members

SEEDS = range(6)

OUR_ITEMS = members(items.OutputItem)
OUR_EVENTS = members(events.KnownEvent)
OUR_TOOLS = members(tools.Tool)
OUR_REPLIES: list[tuple[type[BaseModel], Any]] = [
    (response.Response, SDKResponse),
    (operations.ItemList, ResponseItemList),
    (operations.InputTokens, InputTokenCountResponse),
    (operations.CompactedResponse, SDKCompactedResponse),
    (conversations.Conversation, SDKConversation),
    (conversations.ConversationDeleted, ConversationDeletedResource),
    (conversations.ConversationItemList, SDKConversationItemList),
]


@pytest.fixture(scope="module")
def adapters() -> dict[Any, TypeAdapter[Any]]:
    kinds: list[Any] = [SDKEvent, ResponseOutputItem, SDKConversationItem, SDKTool, *(sdk for _, sdk in OUR_REPLIES)]
    return {kind: TypeAdapter(kind) for kind in kinds}


def assert_accepted(adapter: TypeAdapter[Any], said: Any) -> None:
    read = adapter.validate_json(json.dumps(said), strict=True)
    assert without_nulls(from_json(read.model_dump_json(by_alias=True))) == without_nulls(said)
    if isinstance(said, dict) and "type" in said:
        assert read.type == said["type"]


@pytest.mark.parametrize("model", OUR_ITEMS, ids=lambda model: model.__name__)
def test_items_are_accepted(adapters: dict[Any, TypeAdapter[Any]], model: type[BaseModel]) -> None:
    for seed in SEEDS:
        assert_accepted(adapters[ResponseOutputItem], sent(made(model, seed)))


@pytest.mark.parametrize("model", OUR_ITEMS, ids=lambda model: model.__name__)
def test_items_of_conversations_are_accepted(adapters: dict[Any, TypeAdapter[Any]], model: type[BaseModel]) -> None:
    for seed in SEEDS:
        assert_accepted(adapters[SDKConversationItem], sent(made(model, seed, IN_CONVERSATIONS)))


@pytest.mark.parametrize("model", OUR_EVENTS, ids=lambda model: model.__name__)
def test_events_are_accepted(adapters: dict[Any, TypeAdapter[Any]], model: type[BaseModel]) -> None:
    for seed in SEEDS:
        assert_accepted(adapters[SDKEvent], sent(made(model, seed)))


@pytest.mark.parametrize("model", OUR_TOOLS, ids=lambda model: model.__name__)
def test_tools_are_accepted(adapters: dict[Any, TypeAdapter[Any]], model: type[BaseModel]) -> None:
    for seed in SEEDS:
        assert_accepted(adapters[SDKTool], sent(made(model, seed)))


@pytest.mark.parametrize(("model", "sdk"), OUR_REPLIES, ids=lambda model: model.__name__)
def test_replies_are_accepted(adapters: dict[Any, TypeAdapter[Any]], model: type[BaseModel], sdk: Any) -> None:
    for seed in SEEDS:
        assert_accepted(adapters[sdk], sent(made(model, seed)))


THEIRS: list[tuple[Any, type[BaseModel]]] = [
    *((items.OutputItem, model) for model in members(ResponseOutputItem)),
    *((items.OutputItem, model) for model in members(SDKConversationItem)),
    *((events.ResponseStreamEvent, model) for model in members(SDKEvent)),
    *((tools.Tool, model) for model in members(SDKTool)),
    (response.Response, SDKResponse),
]
THEIR_PLACES: Places = {
    (SDKComparisonFilter, "type"): Literal["eq"],
    (SDKComparisonFilter, "value"): str,
    (SDKCompoundFilter, "filters"): list[SDKComparisonFilter],
    (SDKResponse, "created_at"): int,
    (SDKResponse, "completed_at"): int,
}
AHEAD = {"ResponseConfigurationUpdateItem", "ResponseCompactionCompactingEvent"}
"""What the package has and the published contract has not: we keep it as of another type."""


@pytest.fixture(scope="module")
def our_adapters() -> dict[Any, TypeAdapter[Any]]:
    return {ours: TypeAdapter(ours) for ours, _ in THEIRS}


@pytest.mark.parametrize(("ours", "model"), THEIRS, ids=lambda value: getattr(value, "__name__", ""))
def test_what_the_package_writes_is_kept(
    our_adapters: dict[Any, TypeAdapter[Any]], ours: Any, model: type[BaseModel]
) -> None:
    """Of all forms that their types allow, with some of the optional fields left out."""
    for seed in SEEDS:
        said = Maker(random.Random(f"{model.__name__}/{seed}"), optional=0.6, places=THEIR_PLACES).model(model)
        read = our_adapters[ours].validate_json(json.dumps(said))
        assert from_json(read.model_dump_json(exclude_unset=True)) == said
        assert is_fallback(type(read)) == (model.__name__ in AHEAD)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value
