"""Runs: their rows, documents, steps and events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "ls_runs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("background", sa.Boolean, nullable=False),
        sa.Column("parent", sa.Text),
        sa.Column("idempotency_key", sa.Text),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("holder", sa.Text),
        sa.Column("ready_at", sa.Float(53)),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.Column("updated_at", sa.Float(53), nullable=False),
        sa.Column("started_at", sa.Float(53)),
        sa.Column("ended_at", sa.Float(53)),
        sa.Column("expires_at", sa.Float(53)),
        sa.Column("error", sa.Text),
    )
    op.create_index(
        "ls_runs_by_idempotency_key", "ls_runs", ["tenant", "owner", "kind", "idempotency_key"], unique=True
    )
    op.create_index("ls_runs_by_created_at", "ls_runs", ["tenant", "owner", "kind", "created_at", "id"])
    op.create_index("ls_runs_by_ready_at", "ls_runs", ["ready_at"])
    op.create_index("ls_runs_by_holder", "ls_runs", ["holder"])
    op.create_index("ls_runs_by_status", "ls_runs", ["tenant", "status"])
    op.create_index("ls_runs_by_expires_at", "ls_runs", ["expires_at"])
    op.create_table(
        "ls_run_documents",
        _run(),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "ls_run_steps",
        _run(),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("idempotent", sa.Boolean, nullable=False),
        sa.Column("intent", sa.LargeBinary, nullable=False),
        sa.Column("result", sa.LargeBinary),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.Float(53), nullable=False),
        sa.Column("ended_at", sa.Float(53)),
    )
    op.create_table(
        "ls_run_events",
        _run(),
        sa.Column("first", sa.BigInteger, primary_key=True),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )


def _run() -> sa.Column[str]:
    return sa.Column("run", sa.Text, sa.ForeignKey("ls_runs.id", ondelete="CASCADE"), primary_key=True)
