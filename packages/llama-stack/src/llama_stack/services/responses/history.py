"""What comes before a turn: the turns that it goes on from, or the items of its conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from llama_stack.agent.entries import Entry
from llama_stack.agent.turn import TURN, Turn
from llama_stack.runs.reader import RunReader
from llama_stack.storage.sql.conversations import ConversationStore, StoredItem
from llama_stack_api.principal import Principal

NEWEST_MAX: Final = 50
"""Items of a conversation, where the newest do."""

_entries = msgspec.json.Decoder(list[Entry])
_entry = msgspec.json.Decoder(Entry)
_encode = msgspec.json.Encoder().encode


class ResponseHistory:
    """`agent.ports.History` over the journal and the conversations."""

    def __init__(self, journal: RunReader, conversations: ConversationStore) -> None:
        self._journal = journal
        self._conversations = conversations

    async def before(self, principal: Principal, turn: Turn) -> list[Entry]:
        if turn.previous is not None:
            return await self.chain(principal, turn.previous)
        if turn.conversation is not None:
            rows = await self._conversations.entries(principal, turn.conversation, upto=turn.conversation_position)
            return [_entry.decode(row) for row in rows]
        return []

    async def newest(self, principal: Principal, turn: Turn) -> list[Entry]:
        """The last of what comes before: the previous response alone, or the newest items of the conversation."""
        if turn.previous is not None:
            document = await self._journal.document(principal, turn.previous, TURN)
            return [] if document is None else _entries.decode(document)
        if turn.conversation is not None:
            page = await self._conversations.list_items(principal, turn.conversation, limit=NEWEST_MAX)
            return [_entry.decode(stored.body) for stored in page.items]
        return []

    async def chain(self, principal: Principal, response_id: str) -> list[Entry]:
        """The items of a response and of those that it goes on from, input and output, the oldest first."""
        documents = await self._journal.chain(principal, response_id, TURN)
        return [entry for _, document in documents for entry in _entries.decode(document)]

    async def add(self, principal: Principal, turn: Turn, run_id: str, entries: Sequence[Entry]) -> None:
        if turn.conversation is not None:
            items = [StoredItem(entry.item["id"], _encode(entry)) for entry in entries]
            await self._conversations.append(principal, turn.conversation, run_id, items)
