"""Conversations: kept for their owner, read by responses, shown item by item as `include` asks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeAlias

import msgspec
from pydantic import BaseModel

from llama_stack.agent.entries import Entry, Item
from llama_stack.agent.include import visible
from llama_stack.services.items import kept_items
from llama_stack.services.pages import list_json
from llama_stack.storage.sql.conversations import ConversationStore, StoredConversation, StoredItem
from llama_stack_api.openai.conversations import (
    AddItemsRequest,
    Conversation,
    ConversationDeleted,
    CreateConversationRequest,
    ListItemsParams,
    UpdateConversationRequest,
)
from llama_stack_api.principal import Call

Include: TypeAlias = Collection[str]

_entry = msgspec.json.Decoder(Entry)


class ConversationService:
    """Items are JSON: each is kept whole, as an `Entry`, so that a response can go on from it."""

    def __init__(self, store: ConversationStore) -> None:
        self._store = store

    async def create(self, request: CreateConversationRequest, call: Call) -> Conversation:
        items = _stored(request.items or [])
        return _shown(await self._store.create(call.principal, metadata=request.metadata, items=items))

    async def get(self, conversation_id: str, call: Call) -> Conversation:
        return _shown(await self._store.get(call.principal, conversation_id))

    async def update(self, conversation_id: str, changes: UpdateConversationRequest, call: Call) -> Conversation:
        return _shown(await self._store.update(call.principal, conversation_id, changes.metadata or {}))

    async def delete(self, conversation_id: str, call: Call) -> ConversationDeleted:
        await self._store.delete(call.principal, conversation_id)
        return ConversationDeleted(id=conversation_id)

    async def add_items(self, conversation_id: str, request: AddItemsRequest, include: Include, call: Call) -> bytes:
        """The list of what was added."""
        items = _stored(request.items)
        await self._store.add_items(call.principal, conversation_id, items)
        return _list(items, include, more=False)

    async def list_items(self, conversation_id: str, params: ListItemsParams, call: Call) -> bytes:
        page = await self._store.list_items(
            call.principal, conversation_id, after=params.after, limit=params.limit, order=params.order
        )
        return _list(page.items, params.include or (), more=page.has_more)

    async def get_item(self, conversation_id: str, item_id: str, include: Include, call: Call) -> bytes:
        item = await self._store.get_item(call.principal, conversation_id, item_id)
        return msgspec.json.encode(_visible(item, include))

    async def delete_item(self, conversation_id: str, item_id: str, call: Call) -> Conversation:
        return _shown(await self._store.delete_item(call.principal, conversation_id, item_id))


def _stored(items: Sequence[BaseModel]) -> list[StoredItem]:
    return [StoredItem(item["id"], msgspec.json.encode(Entry(item))) for item in kept_items(items)]


def _visible(item: StoredItem, include: Include) -> Item:
    return visible({**_entry.decode(item.body).item, "id": item.id}, include)


def _list(items: Sequence[StoredItem], include: Include, *, more: bool) -> bytes:
    return list_json([_visible(item, include) for item in items], [item.id for item in items], more=more)


def _shown(stored: StoredConversation) -> Conversation:
    return Conversation(id=stored.id, created_at=int(stored.created_at), metadata=stored.metadata)
