"""The tables, as SQLAlchemy Core knows them. Their names start with `ls_`; those of others are never touched.

A change here goes with a new revision under `migrations/versions`; a test holds the two together.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

TABLE_PREFIX = "ls_"
VERSION_TABLE = "ls_alembic_version"

METADATA = MetaData()

VERSION = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))
"""Alembic's own, in its shape; not among `METADATA`, which it compares."""

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

RUNS = Table(
    "ls_runs",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("background", Boolean, nullable=False),
    Column("parent", Text),
    Column("idempotency_key", Text),
    Column("fence", BigInteger, nullable=False),  # grows with each change of hands; whoever has an older one is stale
    Column("attempts", Integer, nullable=False),
    Column("holder", Text),  # the worker that has the lease
    Column("ready_at", Float(53)),  # when a worker may claim it: its start, or the end of its lease; NULL once ended
    Column("created_at", Float(53), nullable=False),
    Column("updated_at", Float(53), nullable=False),
    Column("started_at", Float(53)),
    Column("ended_at", Float(53)),
    Column("expires_at", Float(53)),
    Column("error", Text),  # a JSON object with code and message
    Column("label", Text),  # what its kind finds it by; a response's is its model
    Column("hidden_at", Float(53)),  # deleted or expired, and still what others go on from
    Column("events_expire_at", Float(53)),  # when its log goes before it does; NULL once that is done
    Column("events_expired", Boolean),  # TRUE: the log is gone
)
Index(
    "ls_runs_by_idempotency_key",
    RUNS.c.tenant,
    RUNS.c.owner,
    RUNS.c.kind,
    RUNS.c.idempotency_key,
    unique=True,
)
Index("ls_runs_by_created_at", RUNS.c.tenant, RUNS.c.owner, RUNS.c.kind, RUNS.c.created_at, RUNS.c.id)
Index("ls_runs_by_ready_at", RUNS.c.ready_at)
Index("ls_runs_by_holder", RUNS.c.holder)
Index("ls_runs_by_status", RUNS.c.tenant, RUNS.c.status)
Index("ls_runs_by_expires_at", RUNS.c.expires_at)


_SET = "set"


def _index_where_set(name: str, *columns: Column[Any], set_: Column[Any]) -> Index:
    """An index of the rows in which a column has a value, for columns that few rows use."""
    return Index(name, *columns, info={_SET: set_})


_index_where_set("ls_runs_by_tenant_ready_at", RUNS.c.tenant, RUNS.c.ready_at, set_=RUNS.c.ready_at)
_index_where_set("ls_runs_by_parent", RUNS.c.parent, set_=RUNS.c.parent)
_index_where_set(
    "ls_runs_by_label",
    RUNS.c.tenant,
    RUNS.c.owner,
    RUNS.c.kind,
    RUNS.c.label,
    RUNS.c.created_at,
    RUNS.c.id,
    set_=RUNS.c.label,
)
_index_where_set("ls_runs_by_events_expire_at", RUNS.c.events_expire_at, set_=RUNS.c.events_expire_at)

_OF_RUN = "ls_runs.id"

RUN_DOCUMENTS = Table(  # apart from the row that each lease and status rewrites: a payload may be a whole conversation
    "ls_run_documents",
    METADATA,
    Column("run", Text, ForeignKey(_OF_RUN, ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),  # payload, result, or what its kind calls a further one
    Column("body", LargeBinary, nullable=False),
)

RUN_STEPS = Table(
    "ls_run_steps",
    METADATA,
    Column("run", Text, ForeignKey(_OF_RUN, ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("idempotent", Boolean, nullable=False),
    Column("intent", LargeBinary, nullable=False),
    Column("result", LargeBinary),
    Column("fence", BigInteger, nullable=False),
    Column("started_at", Float(53), nullable=False),
    Column("ended_at", Float(53)),
)

RUN_EVENTS = Table(
    "ls_run_events",
    METADATA,
    Column("run", Text, ForeignKey(_OF_RUN, ondelete="CASCADE"), primary_key=True),
    Column("first", BigInteger, primary_key=True),
    Column("last", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),  # MessagePack: an array of the events `first` to `last`
)


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

# --- connectors

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


def create_tables(connection: sa.Connection) -> None:
    """All of `METADATA`, in a database that has none of them."""
    for index in (index for table in METADATA.tables.values() for index in table.indexes if _SET in index.info):
        # Said only here: an index that names a dialect loads it, and PostgreSQL's takes as long as the rest of SQL.
        index.dialect_kwargs[f"{connection.dialect.name}_where"] = index.info[_SET].is_not(None)
    METADATA.create_all(connection)


def our_tables(connection: sa.Connection) -> set[str]:
    """The tables of `METADATA` that are in the database, whoever made them."""
    return set(sa.inspect(connection).get_table_names()) & set(METADATA.tables)
