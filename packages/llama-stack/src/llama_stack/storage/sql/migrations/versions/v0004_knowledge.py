"""Files, uploads, vector stores and their chunks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_KEYWORD_INDEX = {
    "sqlite": ("CREATE VIRTUAL TABLE ls_chunk_words_index USING fts5(words, content='', tokenize='ascii')",),
    "postgresql": (
        "CREATE OR REPLACE FUNCTION ls_words_of(key text, words text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE STRICT"
        " PARALLEL SAFE COST 1000"
        " AS $$ BEGIN RETURN string_to_array(key || replace(words, ' ', ' ' || key), ' '); END $$",
        "CREATE INDEX ls_chunk_words_index ON ls_chunk_words USING gin (ls_words_of(key, words))",
    ),
}


def upgrade() -> None:
    _files()
    _stores()
    _batches()
    _chunks()
    for statement in _KEYWORD_INDEX[op.get_bind().dialect.name]:
        op.execute(statement)


def _files() -> None:
    op.create_table(
        "ls_blobs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text),
        sa.Column("touched_at", sa.Float(53), nullable=False),
    )
    op.create_index("ls_blobs_by_state", "ls_blobs", ["state", "touched_at"])
    op.create_table(
        "ls_files",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.Column("expires_at", sa.Float(53)),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("content_type", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("blob", sa.Text, nullable=False),
    )
    _index_where_set("ls_files_by_expires_at", "ls_files", "expires_at")
    op.create_index("ls_files_by_owner", "ls_files", ["tenant", "owner", "created_at", "id"])
    op.create_index("ls_files_by_purpose", "ls_files", ["tenant", "owner", "purpose", "created_at", "id"])
    op.create_table(
        "ls_uploads",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.Column("expires_at", sa.Float(53), nullable=False),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("mime_type", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("file_expires_after_s", sa.BigInteger),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("file", sa.Text),
    )
    op.create_index("ls_uploads_by_expires_at", "ls_uploads", ["status", "expires_at"])
    op.create_table(
        "ls_upload_parts",
        sa.Column("id", sa.Text, primary_key=True),
        _part_of("upload", "ls_uploads.id", primary_key=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("blob", sa.Text, nullable=False),
    )
    op.create_index("ls_upload_parts_by_upload", "ls_upload_parts", ["upload"])


def _stores() -> None:
    op.create_table(
        "ls_vector_stores",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("description", sa.Text),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("expires_after_days", sa.Integer),
        sa.Column("last_active_at", sa.Float(53), nullable=False),
        sa.Column("expires_at", sa.Float(53)),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("index_id", sa.Text, nullable=False),
        sa.Column("embedding_model", sa.Text, nullable=False),
        sa.Column("embedding_dimension", sa.Integer, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("changes_from", sa.BigInteger, nullable=False),
        sa.Column("files_in_progress", sa.BigInteger, nullable=False),
        sa.Column("files_completed", sa.BigInteger, nullable=False),
        sa.Column("files_failed", sa.BigInteger, nullable=False),
        sa.Column("files_cancelled", sa.BigInteger, nullable=False),
        sa.Column("usage_bytes", sa.BigInteger, nullable=False),
        sa.Column("chunks", sa.BigInteger, nullable=False),
        sa.Column("words", sa.BigInteger, nullable=False),
    )
    _index_where_set("ls_vector_stores_by_expires_at", "ls_vector_stores", "expires_at")
    op.create_index("ls_vector_stores_by_index_id", "ls_vector_stores", ["index_id"], unique=True)
    op.create_index("ls_vector_stores_by_owner", "ls_vector_stores", ["tenant", "owner", "created_at", "id"])
    op.create_index("ls_vector_stores_by_state", "ls_vector_stores", ["state"])
    op.create_table(
        "ls_vector_store_files",
        _part_of("store", "ls_vector_stores.id", primary_key=True),
        sa.Column("file", sa.Text, primary_key=True),
        sa.Column("attached_at", sa.Float(53), nullable=False),
        sa.Column("attachment", sa.Text, nullable=False),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("error_code", sa.Text),
        sa.Column("error_message", sa.Text),
        sa.Column("attributes", sa.Text, nullable=False),
        sa.Column("chunking", sa.Text, nullable=False),
        sa.Column("usage_bytes", sa.BigInteger, nullable=False),
        sa.Column("chunks_done", sa.BigInteger, nullable=False),
        sa.Column("run", sa.Text),
    )
    op.create_index("ls_vector_store_files_by_attached_at", "ls_vector_store_files", ["store", "attached_at", "file"])
    op.create_index("ls_vector_store_files_by_file", "ls_vector_store_files", ["file"])
    op.create_index(
        "ls_vector_store_files_by_status", "ls_vector_store_files", ["store", "status", "attached_at", "file"]
    )
    op.create_index("ls_vector_store_files_unstarted", "ls_vector_store_files", ["status", "run", "attached_at"])


def _batches() -> None:
    op.create_table(
        "ls_vector_store_batches",
        sa.Column("id", sa.Text, primary_key=True),
        _part_of("store", "ls_vector_stores.id", primary_key=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.Column("cancelled", sa.Boolean, nullable=False),
    )
    op.create_index("ls_vector_store_batches_by_created_at", "ls_vector_store_batches", ["created_at"])
    op.create_index("ls_vector_store_batches_by_store", "ls_vector_store_batches", ["store"])
    op.create_table(
        "ls_vector_store_batch_files",
        _part_of("batch", "ls_vector_store_batches.id", primary_key=True),
        sa.Column("file", sa.Text, primary_key=True),
    )


def _chunks() -> None:
    op.create_table(
        "ls_chunk_sets",
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("store", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("attributes", sa.Text, nullable=False),
        sa.Column("chunks", sa.BigInteger, nullable=False),
        sa.Column("words", sa.BigInteger, nullable=False),
        sa.Column("removed_at", sa.Float(53)),
        sqlite_autoincrement=True,
    )
    op.create_index("ls_chunk_sets_by_document", "ls_chunk_sets", ["store", "document", "key"])
    _index_where_set("ls_chunk_sets_by_removed_at", "ls_chunk_sets", "removed_at")
    op.create_table(
        "ls_chunks",
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("store", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("chunk_set", sa.BigInteger, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("ordinal", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("start", sa.BigInteger, nullable=False),
        sa.Column("end", sa.BigInteger, nullable=False),
        sa.Column("page", sa.Integer),
        sa.Column("tokens", sa.Integer, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("extra", sa.Text),
        sa.Column("context", sa.Text),
        sa.Column("embedding", sa.LargeBinary),
        sa.Column("text", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ls_chunks_by_digest", "ls_chunks", ["digest"])
    op.create_index("ls_chunks_by_id", "ls_chunks", ["store", "id"], unique=True)
    op.create_index("ls_chunks_by_set", "ls_chunks", ["chunk_set", "ordinal", "number"])
    op.create_index("ls_chunks_by_version", "ls_chunks", ["store", "version", "number"])
    op.create_table(
        "ls_chunk_words",
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("length", sa.Integer, nullable=False),
        sa.Column("words", sa.Text, nullable=False),
    )
    op.create_table(
        "ls_vector_store_changes",
        _part_of("store", "ls_vector_stores.id", primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("attributes", sa.Text),
        sa.Column("pending", sa.Boolean, nullable=False),
        sa.Column("at", sa.Float(53), nullable=False),
    )
    op.create_index("ls_vector_store_changes_by_document", "ls_vector_store_changes", ["store", "document"])
    op.create_index("ls_vector_store_changes_by_pending", "ls_vector_store_changes", ["pending", "at"])


def _part_of(name: str, whole: str, *, primary_key: bool) -> sa.Column[str]:
    key = sa.ForeignKey(whole, ondelete="CASCADE")
    return sa.Column(name, sa.Text, key, primary_key=primary_key, nullable=False)


def _index_where_set(name: str, table: str, column: str) -> None:
    is_set = sa.text(f"{column} IS NOT NULL")
    op.create_index(name, table, [column], sqlite_where=is_set, postgresql_where=is_set)
