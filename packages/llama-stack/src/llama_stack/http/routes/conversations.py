"""Conversations and their items."""

from enum import Enum
from typing import Annotated

from fastapi import FastAPI, Query, Response

from llama_stack.http.routes.parts import After, CallOf, Included, Limit, json_response
from llama_stack.services.conversations import ConversationService
from llama_stack_api.openai.conversations import (
    AddItemsRequest,
    Conversation,
    ConversationDeleted,
    ConversationItem,
    ConversationItemList,
    CreateConversationRequest,
    ListItemsParams,
    UpdateConversationRequest,
)
from llama_stack_api.paging import LIMIT_DEFAULT, Order

PATH = "/v1/conversations"
ONE = PATH + "/{conversation_id}"
ITEMS = ONE + "/items"
ITEM = ITEMS + "/{item_id}"
TAGS: list[str | Enum] = ["Conversations"]

ByPlace = Annotated[Order, Query(description="By place in the conversation.")]


def add_conversation_routes(app: FastAPI, conversations: ConversationService) -> None:
    _add_conversations(app, conversations)
    _add_items(app, conversations)


def _add_conversations(app: FastAPI, conversations: ConversationService) -> None:
    @app.post(PATH, tags=TAGS, summary="Create a conversation.")
    async def create_conversation(call: CallOf, body: CreateConversationRequest | None = None) -> Conversation:
        return await conversations.create(body or CreateConversationRequest(), call)

    @app.get(ONE, tags=TAGS, summary="Get a conversation.")
    async def get_conversation(conversation_id: str, call: CallOf) -> Conversation:
        return await conversations.get(conversation_id, call)

    @app.post(ONE, tags=TAGS, summary="Change the metadata of a conversation.")
    async def update_conversation(conversation_id: str, body: UpdateConversationRequest, call: CallOf) -> Conversation:
        return await conversations.update(conversation_id, body, call)

    @app.delete(ONE, tags=TAGS, summary="Delete a conversation with its items.")
    async def delete_conversation(conversation_id: str, call: CallOf) -> ConversationDeleted:
        return await conversations.delete(conversation_id, call)


def _add_items(app: FastAPI, conversations: ConversationService) -> None:
    @app.post(ITEMS, tags=TAGS, summary="Add items to a conversation.", response_model=ConversationItemList)
    async def create_conversation_items(
        conversation_id: str, body: AddItemsRequest, call: CallOf, include: Included
    ) -> Response:
        return json_response(await conversations.add_items(conversation_id, body, include, call))

    @app.get(ITEMS, tags=TAGS, summary="List the items of a conversation.", response_model=ConversationItemList)
    async def list_conversation_items(
        conversation_id: str,
        call: CallOf,
        include: Included,
        after: After = None,
        limit: Limit = LIMIT_DEFAULT,
        order: ByPlace = "desc",
    ) -> Response:
        params = ListItemsParams(after=after, limit=limit, order=order, include=include)
        return json_response(await conversations.list_items(conversation_id, params, call))

    @app.get(ITEM, tags=TAGS, summary="Get an item of a conversation.", response_model=ConversationItem)
    async def get_conversation_item(conversation_id: str, item_id: str, call: CallOf, include: Included) -> Response:
        return json_response(await conversations.get_item(conversation_id, item_id, include, call))

    @app.delete(ITEM, tags=TAGS, summary="Delete an item of a conversation.")
    async def delete_conversation_item(conversation_id: str, item_id: str, call: CallOf) -> Conversation:
        return await conversations.delete_item(conversation_id, item_id, call)
