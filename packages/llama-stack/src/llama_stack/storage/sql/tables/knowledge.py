"""Vector stores, their files and chunks, and the words of chunks."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, LargeBinary, Table, Text

from llama_stack.storage.sql.tables.metadata import METADATA, index_where_set

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
index_where_set("ls_vector_stores_by_expires_at", VECTOR_STORES.c.expires_at, set_=VECTOR_STORES.c.expires_at)
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
index_where_set("ls_chunk_sets_by_removed_at", CHUNK_SETS.c.removed_at, set_=CHUNK_SETS.c.removed_at)

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
