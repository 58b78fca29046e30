"""Batches of requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_TIMES = (
    "in_progress_at",
    "cancelling_at",
    "finalizing_at",
    "ended_at",
    "results_expire_at",
    "archived_at",
    "removed_at",
)
_COUNTS = (
    "total",
    "succeeded",
    "errored",
    "expired",
    "canceled",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "reasoning_tokens",
)


def upgrade() -> None:
    _batches()
    op.create_table(
        "ls_batch_lines",
        sa.Column("batch", sa.Text, sa.ForeignKey("ls_batches.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("line", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("custom_id", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text),
        sa.Column("status", sa.Integer),
        sa.Column("request_id", sa.Text),
        sa.Column("result", sa.LargeBinary),
        sa.Column("request", sa.LargeBinary),
    )
    _index_where_set("ls_batch_lines_unsettled", "ls_batch_lines", ["batch", "line"], "request")


def _batches() -> None:
    op.create_table(
        "ls_batches",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("api", sa.Text, nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("idempotency_key", sa.Text),
        sa.Column("metadata", sa.Text),
        sa.Column("model", sa.Text),
        sa.Column("input_file", sa.Text),
        sa.Column("output_file", sa.Text),
        sa.Column("error_file", sa.Text),
        sa.Column("output_expires_after_s", sa.BigInteger),
        sa.Column("errors", sa.Text),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.Column("expires_at", sa.Float(53), nullable=False),
        *(sa.Column(name, sa.Float(53)) for name in _TIMES),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _COUNTS),
    )
    op.create_index("ls_batches_by_owner", "ls_batches", ["tenant", "owner", "api", "created_at", "id"])
    op.create_index(
        "ls_batches_by_idempotency_key", "ls_batches", ["tenant", "owner", "api", "idempotency_key"], unique=True
    )
    op.create_index("ls_batches_by_ended_at", "ls_batches", ["ended_at", "created_at"])
    _index_where_set("ls_batches_by_results_expire_at", "ls_batches", ["results_expire_at"], "results_expire_at")
    _index_where_set("ls_batches_by_removed_at", "ls_batches", ["removed_at"], "removed_at")


def _index_where_set(name: str, table: str, columns: list[str], column: str) -> None:
    is_set = sa.text(f"{column} IS NOT NULL")
    op.create_index(name, table, columns, sqlite_where=is_set, postgresql_where=is_set)
