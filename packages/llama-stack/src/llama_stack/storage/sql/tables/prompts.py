"""Prompts in their versions."""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, Table, Text

from llama_stack.storage.sql.tables.metadata import METADATA

PROMPTS = Table(
    "ls_prompts",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("latest_version", Integer, nullable=False),  # versions are 1 to this one
    Column("default_version", Integer, nullable=False),
)
Index("ls_prompts_by_owner", PROMPTS.c.tenant, PROMPTS.c.owner, PROMPTS.c.created_at, PROMPTS.c.id)

PROMPT_VERSIONS = Table(
    "ls_prompt_versions",
    METADATA,
    Column("prompt", Text, ForeignKey("ls_prompts.id", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("text", Text, nullable=False),
    Column("variables", Text, nullable=False),  # a JSON array of names
)
