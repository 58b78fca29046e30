"""The Conversations API under the names of `llama-stack-api` 0.7: our types, and the protocol of a provider.

New code imports the types from `llama_stack_api.openai.conversations`.
"""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias, runtime_checkable

from llama_stack_api.base import WireModel
from llama_stack_api.openai import conversations
from llama_stack_api.paging import Order

Conversation = conversations.Conversation
ConversationDeletedResource = conversations.ConversationDeleted
ConversationItem: TypeAlias = conversations.ConversationItem
ConversationItemList = conversations.ConversationItemList
CreateConversationRequest = conversations.CreateConversationRequest
UpdateConversationRequest = conversations.UpdateConversationRequest
AddItemsRequest = conversations.AddItemsRequest


class ConversationItemDeletedResource(WireModel):
    id: str
    object: Literal["conversation.item.deleted"] = "conversation.item.deleted"
    deleted: bool = True


class GetConversationRequest(WireModel):
    conversation_id: str


class DeleteConversationRequest(WireModel):
    conversation_id: str


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
