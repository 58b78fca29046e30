"""The tables, as SQLAlchemy Core knows them. Their names start with `ls_`; those of others are never touched.

Whoever uses one imports it from here: so `METADATA` has all of them wherever it is used.
A change here goes with a new revision under `migrations/versions`; a test holds the two together.
"""

from __future__ import annotations

from sqlalchemy import Column, MetaData, String, Table

from llama_stack.storage.sql.tables.batches import BATCH_LINES, BATCHES
from llama_stack.storage.sql.tables.completions import CHAT_COMPLETIONS
from llama_stack.storage.sql.tables.connectors import CONNECTORS
from llama_stack.storage.sql.tables.conversations import CONVERSATION_ITEMS, CONVERSATIONS
from llama_stack.storage.sql.tables.creation import create_tables, our_tables
from llama_stack.storage.sql.tables.files import BLOBS, FILES, UPLOAD_PARTS, UPLOADS
from llama_stack.storage.sql.tables.knowledge import (
    CHUNK_SETS,
    CHUNK_WORDS,
    CHUNKS,
    FILE_BATCH_FILES,
    FILE_BATCHES,
    STORE_CHANGES,
    STORE_FILES,
    VECTOR_STORES,
)
from llama_stack.storage.sql.tables.metadata import METADATA
from llama_stack.storage.sql.tables.prompts import PROMPT_VERSIONS, PROMPTS
from llama_stack.storage.sql.tables.runs import RUN_DOCUMENTS, RUN_EVENTS, RUN_STEPS, RUNS

TABLE_PREFIX = "ls_"
VERSION_TABLE = "ls_alembic_version"

VERSION = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))
"""Alembic's own, in its shape; not among `METADATA`, which it compares."""

__all__ = [
    "BATCHES",
    "BATCH_LINES",
    "BLOBS",
    "CHAT_COMPLETIONS",
    "CHUNKS",
    "CHUNK_SETS",
    "CHUNK_WORDS",
    "CONNECTORS",
    "CONVERSATIONS",
    "CONVERSATION_ITEMS",
    "FILES",
    "FILE_BATCHES",
    "FILE_BATCH_FILES",
    "METADATA",
    "PROMPTS",
    "PROMPT_VERSIONS",
    "RUNS",
    "RUN_DOCUMENTS",
    "RUN_EVENTS",
    "RUN_STEPS",
    "STORE_CHANGES",
    "STORE_FILES",
    "TABLE_PREFIX",
    "UPLOADS",
    "UPLOAD_PARTS",
    "VECTOR_STORES",
    "VERSION",
    "VERSION_TABLE",
    "create_tables",
    "our_tables",
]
