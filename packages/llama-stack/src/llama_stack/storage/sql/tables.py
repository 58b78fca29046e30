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


# --- files

BLOBS = Table(  # contents, wherever they are kept. A row is there before the bytes are, and goes after them.
    "ls_blobs",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("provider", Text, nullable=False),  # the files provider that keeps it
    Column("key", Text),  # what the provider calls it; NULL while it is being written
    Column("state", Text, nullable=False),  # writing, kept, dropped
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", Text),
    Column("touched_at", Float(53), nullable=False),  # of writing: a sign of life; of dropped: since when
)
Index("ls_blobs_by_state", BLOBS.c.state, BLOBS.c.touched_at)

FILES = Table(
    "ls_files",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("expires_at", Float(53)),
    Column("filename", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("blob", Text, nullable=False),
)
Index("ls_files_by_owner", FILES.c.tenant, FILES.c.owner, FILES.c.created_at, FILES.c.id)
Index("ls_files_by_purpose", FILES.c.tenant, FILES.c.owner, FILES.c.purpose, FILES.c.created_at, FILES.c.id)
_index_where_set("ls_files_by_expires_at", FILES.c.expires_at, set_=FILES.c.expires_at)

UPLOADS = Table(
    "ls_uploads",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("expires_at", Float(53), nullable=False),
    Column("filename", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("mime_type", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),  # as announced
    Column("file_expires_after_s", BigInteger),
    Column("status", Text, nullable=False),  # pending, completed, cancelled, expired
    Column("file", Text),  # the file that it became
)
Index("ls_uploads_by_expires_at", UPLOADS.c.status, UPLOADS.c.expires_at)

UPLOAD_PARTS = Table(
    "ls_upload_parts",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("upload", Text, ForeignKey("ls_uploads.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("blob", Text, nullable=False),
)
Index("ls_upload_parts_by_upload", UPLOAD_PARTS.c.upload)

# --- vector stores

VECTOR_STORES = Table(
    "ls_vector_stores",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("name", Text),
    Column("description", Text),
    Column("metadata", Text, nullable=False),  # a JSON object of strings
    Column("expires_after_days", Integer),  # after last_active_at
    Column("last_active_at", Float(53), nullable=False),
    Column("expires_at", Float(53)),
    Column("state", Text, nullable=False),  # live, expired, emptied (expired, and its rows are removed), deleted
    Column("provider", Text, nullable=False),
    Column("index_id", Text, nullable=False),  # what the provider calls it
    Column("embedding_model", Text, nullable=False),
    Column("embedding_dimension", Integer, nullable=False),
    Column("version", BigInteger, nullable=False),  # raised by every change of its chunks
    Column("changes_from", BigInteger, nullable=False),  # changes at or before it are forgotten
    Column("files_in_progress", BigInteger, nullable=False),
    Column("files_completed", BigInteger, nullable=False),
    Column("files_failed", BigInteger, nullable=False),
    Column("files_cancelled", BigInteger, nullable=False),
    Column("usage_bytes", BigInteger, nullable=False),
    Column("chunks", BigInteger, nullable=False),  # those with words in the keyword index
    Column("words", BigInteger, nullable=False),  # theirs
)
Index(
    "ls_vector_stores_by_owner",
    VECTOR_STORES.c.tenant,
    VECTOR_STORES.c.owner,
    VECTOR_STORES.c.created_at,
    VECTOR_STORES.c.id,
)
Index("ls_vector_stores_by_index_id", VECTOR_STORES.c.index_id, unique=True)  # nobody has another's index
_index_where_set("ls_vector_stores_by_expires_at", VECTOR_STORES.c.expires_at, set_=VECTOR_STORES.c.expires_at)
Index("ls_vector_stores_by_state", VECTOR_STORES.c.state)

STORE_FILES = Table(
    "ls_vector_store_files",
    METADATA,
    Column("store", Text, ForeignKey("ls_vector_stores.id", ondelete="CASCADE"), primary_key=True),
    Column("file", Text, primary_key=True),
    Column("attached_at", Float(53), nullable=False),
    Column("attachment", Text, nullable=False),  # new with every attaching; its chunks' ids are made of it
    Column("filename", Text, nullable=False),
    Column("status", Text, nullable=False),  # in_progress, completed, failed, cancelled
    Column("error_code", Text),
    Column("error_message", Text),
    Column("attributes", Text, nullable=False),  # a JSON object
    Column("chunking", Text, nullable=False),  # a JSON object: the strategy as it is carried out
    Column("usage_bytes", BigInteger, nullable=False),
    Column("chunks_done", BigInteger, nullable=False),
    Column("run", Text),  # the run that ingests it; NULL: not begun
)
Index("ls_vector_store_files_by_attached_at", STORE_FILES.c.store, STORE_FILES.c.attached_at, STORE_FILES.c.file)
Index(
    "ls_vector_store_files_by_status",
    STORE_FILES.c.store,
    STORE_FILES.c.status,
    STORE_FILES.c.attached_at,
    STORE_FILES.c.file,
)
Index("ls_vector_store_files_by_file", STORE_FILES.c.file)
Index("ls_vector_store_files_unstarted", STORE_FILES.c.status, STORE_FILES.c.run, STORE_FILES.c.attached_at)

FILE_BATCHES = Table(
    "ls_vector_store_batches",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("store", Text, ForeignKey("ls_vector_stores.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("cancelled", Boolean, nullable=False),
)
Index("ls_vector_store_batches_by_store", FILE_BATCHES.c.store)
Index("ls_vector_store_batches_by_created_at", FILE_BATCHES.c.created_at)

FILE_BATCH_FILES = Table(
    "ls_vector_store_batch_files",
    METADATA,
    Column("batch", Text, ForeignKey("ls_vector_store_batches.id", ondelete="CASCADE"), primary_key=True),
    Column("file", Text, primary_key=True),
)

CHUNK_SETS = Table(  # chunks of a document that have the same attributes, and go at once
    "ls_chunk_sets",
    METADATA,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("store", Text, nullable=False),
    Column("document", Text, nullable=False),  # the file, or what was given to /v1/vector-io/insert
    Column("key", Text),  # of what a client wrote: a digest of its attributes; NULL: of an attached file
    Column("attributes", Text, nullable=False),  # a JSON object
    Column("chunks", BigInteger, nullable=False),  # those with words in the keyword index
    Column("words", BigInteger, nullable=False),  # theirs
    Column("removed_at", Float(53)),  # nobody sees its chunks any more; they go in slices
    sqlite_autoincrement=True,
)
Index("ls_chunk_sets_by_document", CHUNK_SETS.c.store, CHUNK_SETS.c.document, CHUNK_SETS.c.key)
_index_where_set("ls_chunk_sets_by_removed_at", CHUNK_SETS.c.removed_at, set_=CHUNK_SETS.c.removed_at)

CHUNKS = Table(
    "ls_chunks",
    METADATA,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("store", Text, nullable=False),
    Column("id", Text, nullable=False),  # a UUID
    Column("chunk_set", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
    Column("ordinal", BigInteger, nullable=False),  # within the document
    Column("version", BigInteger, nullable=False),  # the store's, with which it came
    Column("start", BigInteger, nullable=False),  # characters of the document's text
    Column("end", BigInteger, nullable=False),
    Column("page", Integer),
    Column("tokens", Integer, nullable=False),
    Column("digest", Text, nullable=False),  # of tenant, embedding model, dimension and embedded text
    Column("extra", Text),  # a JSON object: what came with a chunk that a client made
    Column("context", Text),  # put before the text where it is embedded and searched
    Column("embedding", LargeBinary),  # little-endian floats of 32 bits
    Column("text", Text, nullable=False),  # last: what comes before it is read without it
    sqlite_autoincrement=True,  # a number is never used twice
)
Index("ls_chunks_by_id", CHUNKS.c.store, CHUNKS.c.id, unique=True)
Index("ls_chunks_by_set", CHUNKS.c.chunk_set, CHUNKS.c.ordinal, CHUNKS.c.number)
Index("ls_chunks_by_version", CHUNKS.c.store, CHUNKS.c.version, CHUNKS.c.number)
Index("ls_chunks_by_digest", CHUNKS.c.digest)

CHUNK_WORDS = Table(  # of the chunks that are searched by keyword here; `KEYWORD_INDEX` is over it
    "ls_chunk_words",
    METADATA,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("key", Text, nullable=False),  # stands before each word in the index: a store's words are its own
    Column("length", Integer, nullable=False),  # in words
    Column("words", Text, nullable=False),  # normalised, a space between two
)

KEYWORD_INDEX = {
    "sqlite": ("CREATE VIRTUAL TABLE ls_chunk_words_index USING fts5(words, content='', tokenize='ascii')",),
    "postgresql": (
        # A function, so that the planner knows what it costs: else it makes the words of all rows, sooner than use the
        # index.
        "CREATE OR REPLACE FUNCTION ls_words_of(key text, words text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE STRICT"
        " PARALLEL SAFE COST 1000"
        " AS $$ BEGIN RETURN string_to_array(key || replace(words, ' ', ' ' || key), ' '); END $$",
        "CREATE INDEX ls_chunk_words_index ON ls_chunk_words USING gin (ls_words_of(key, words))",
    ),
}
"""By dialect; not in `METADATA`, which knows neither virtual tables nor, without loading a dialect, such an index."""

STORE_CHANGES = Table(  # what happened to documents that were there already
    "ls_vector_store_changes",
    METADATA,
    Column("store", Text, ForeignKey("ls_vector_stores.id", ondelete="CASCADE"), primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("document", Text, nullable=False),
    Column("attributes", Text),  # its new ones; NULL: its chunks are gone
    Column("pending", Boolean, nullable=False),  # the provider has not confirmed it yet
    Column("at", Float(53), nullable=False),
)
Index("ls_vector_store_changes_by_pending", STORE_CHANGES.c.pending, STORE_CHANGES.c.at)
Index("ls_vector_store_changes_by_document", STORE_CHANGES.c.store, STORE_CHANGES.c.document)


def create_tables(connection: sa.Connection) -> None:
    """All of `METADATA`, in a database that has none of them."""
    for index in (index for table in METADATA.tables.values() for index in table.indexes if _SET in index.info):
        # Said only here: an index that names a dialect loads it, and PostgreSQL's takes as long as the rest of SQL.
        index.dialect_kwargs[f"{connection.dialect.name}_where"] = index.info[_SET].is_not(None)
    METADATA.create_all(connection)
    for statement in KEYWORD_INDEX[connection.dialect.name]:
        connection.exec_driver_sql(statement)


def our_tables(connection: sa.Connection) -> set[str]:
    """The tables of `METADATA` that are in the database, whoever made them."""
    return set(sa.inspect(connection).get_table_names()) & set(METADATA.tables)
