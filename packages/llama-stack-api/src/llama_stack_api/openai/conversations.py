"""Conversations: items that outlive a response, which responses read from and add to."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from llama_stack_api.base import Metadata, UnixTime, WireModel
from llama_stack_api.openai.responses.items import InputItem, OutputItem
from llama_stack_api.openai.responses.operations import ItemList, ListItemsParams
from llama_stack_api.openai.responses.settings import Include

__all__ = [
    "ITEMS_MAX", "Conversation", "ConversationDeleted", "ConversationItem", "ConversationItemList", "NewItems",
    "CreateConversationRequest", "UpdateConversationRequest", "AddItemsRequest", "ItemParams", "ListItemsParams",
]  # fmt: skip

ITEMS_MAX = 20

ConversationItem: TypeAlias = OutputItem
ConversationItemList: TypeAlias = ItemList
NewItems: TypeAlias = Annotated[list[InputItem], Field(max_length=ITEMS_MAX)]


class Conversation(WireModel):
    id: str
    object: Literal["conversation"] = "conversation"
    created_at: UnixTime
    metadata: Metadata | None = Field(default_factory=dict)


class CreateConversationRequest(WireModel):
    items: NewItems | None = None
    metadata: Metadata | None = None


class UpdateConversationRequest(WireModel):
    """Only the metadata can be changed; null removes it."""

    metadata: Metadata | None


class ConversationDeleted(WireModel):
    """Its items are no longer reachable, but not deleted."""

    id: str
    object: Literal["conversation.deleted"] = "conversation.deleted"
    deleted: bool = True


class ItemParams(WireModel):
    """The query of a read, and of the addition, of items."""

    include: list[Include] | None = None


class AddItemsRequest(WireModel):
    items: NewItems
