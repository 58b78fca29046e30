"""Stored chat completions."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Table, Text

from llama_stack.storage.sql.tables.metadata import METADATA

CHAT_COMPLETIONS = Table(
    "ls_chat_completions",
    METADATA,
    Column("tenant", Text, primary_key=True),
    Column("owner", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("created", BigInteger, nullable=False),  # Unix seconds, as the completion itself says
    Column("stored_at", Float(53), nullable=False),  # Unix seconds by our clock; lists and retention go by it
    Column("model", Text, nullable=False),
    Column("metadata", Text, nullable=False),  # a JSON object of strings
    Column("completion", Text, nullable=False),  # JSON as the client received it, without `metadata`
    Column("messages", Text, nullable=False),  # the request's messages, a JSON array
)
Index(
    "ls_chat_completions_by_owner",
    CHAT_COMPLETIONS.c.tenant,
    CHAT_COMPLETIONS.c.owner,
    CHAT_COMPLETIONS.c.stored_at,
    CHAT_COMPLETIONS.c.id,
)
Index("ls_chat_completions_by_stored_at", CHAT_COMPLETIONS.c.stored_at)
