"""Connectors."""

from __future__ import annotations

from sqlalchemy import Column, Float, LargeBinary, Table, Text

from llama_stack.storage.sql.tables.metadata import METADATA

CONNECTORS = Table(
    "ls_connectors",
    METADATA,
    Column("tenant", Text, primary_key=True),  # all of the tenant see it
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),  # who registered it
    Column("created_at", Float(53), nullable=False),
    Column("document", Text, nullable=False),  # a JSON object, nothing in it secret
    Column("secrets", LargeBinary),  # sealed
)
