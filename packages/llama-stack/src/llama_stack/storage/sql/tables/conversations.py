"""Conversations and their items."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, LargeBinary, Table, Text

from llama_stack.storage.sql.tables.metadata import METADATA

CONVERSATIONS = Table(
    "ls_conversations",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("metadata", Text, nullable=False),  # a JSON object of strings
    Column("next_position", BigInteger, nullable=False),  # whoever adds items takes theirs first, and so a lock
    Column("item_count", BigInteger, nullable=False),
    Column("byte_count", BigInteger, nullable=False),  # of all items
)

CONVERSATION_ITEMS = Table(
    "ls_conversation_items",
    METADATA,
    Column("conversation", Text, ForeignKey("ls_conversations.id", ondelete="CASCADE"), primary_key=True),
    Column("position", BigInteger, primary_key=True),  # ascending, with gaps
    Column("id", Text, nullable=False),
    Column("run", Text),  # the response that it came with
    Column("body", LargeBinary, nullable=False),
)
Index("ls_conversation_items_by_id", CONVERSATION_ITEMS.c.id, CONVERSATION_ITEMS.c.conversation, unique=True)
