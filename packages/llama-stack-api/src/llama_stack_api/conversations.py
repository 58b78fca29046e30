"""Conversations: items that responses read from and add to."""

from __future__ import annotations

from typing import Annotated, Literal, Protocol, TypeAlias, runtime_checkable

from pydantic import Field

from llama_stack_api.base import Metadata, UnixTime, WireModel
from llama_stack_api.openai_responses import OpenAIResponseInput
from llama_stack_api.paging import Order

ConversationItem: TypeAlias = OpenAIResponseInput

ITEMS_MAX = 20

ConversationItems: TypeAlias = Annotated[list[ConversationItem], Field(max_length=ITEMS_MAX)]


class Conversation(WireModel):
    id: str
    object: Literal["conversation"] = "conversation"
    created_at: UnixTime
    metadata: Metadata | None = None


class ConversationItemList(WireModel):
    object: Literal["list"] = "list"
    data: list[ConversationItem]
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool = False


class ConversationDeletedResource(WireModel):
    id: str
    object: Literal["conversation.deleted"] = "conversation.deleted"
    deleted: bool = True


class ConversationItemDeletedResource(WireModel):
    id: str
    object: Literal["conversation.item.deleted"] = "conversation.item.deleted"
    deleted: bool = True


class CreateConversationRequest(WireModel):
    items: ConversationItems | None = None
    metadata: Metadata | None = None


class GetConversationRequest(WireModel):
    conversation_id: str


class UpdateConversationRequest(WireModel):
    metadata: Metadata


class DeleteConversationRequest(WireModel):
    conversation_id: str


class AddItemsRequest(WireModel):
    items: ConversationItems


class RetrieveItemRequest(WireModel):
    conversation_id: str
    item_id: str


class ListItemsRequest(WireModel):
    conversation_id: str
    after: str | None = None
    include: list[str] | None = None
    limit: int | None = None
    order: Order | None = None


class DeleteItemRequest(WireModel):
    conversation_id: str
    item_id: str


@runtime_checkable
class Conversations(Protocol):
    async def create_conversation(self, request: CreateConversationRequest) -> Conversation: ...

    async def get_conversation(self, request: GetConversationRequest) -> Conversation: ...

    async def update_conversation(self, conversation_id: str, request: UpdateConversationRequest) -> Conversation: ...

    async def openai_delete_conversation(self, request: DeleteConversationRequest) -> ConversationDeletedResource: ...

    async def add_items(self, conversation_id: str, request: AddItemsRequest) -> ConversationItemList: ...

    async def retrieve(self, request: RetrieveItemRequest) -> ConversationItem: ...

    async def list_items(self, request: ListItemsRequest) -> ConversationItemList: ...

    async def openai_delete_conversation_item(self, request: DeleteItemRequest) -> ConversationItemDeletedResource: ...
