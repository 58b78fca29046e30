"""Files, uploads of them in parts, and the contents of both."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Table, Text

from llama_stack.storage.sql.tables.metadata import METADATA, index_where_set

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
index_where_set("ls_files_by_expires_at", FILES.c.expires_at, set_=FILES.c.expires_at)

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
