"""What responses need: conversations, prompts, connectors, and runs that others go on from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    _runs()
    _conversations()
    _prompts()
    _connectors()


def _runs() -> None:
    op.add_column("ls_runs", sa.Column("label", sa.Text))
    op.add_column("ls_runs", sa.Column("hidden_at", sa.Float(53)))
    op.add_column("ls_runs", sa.Column("events_expire_at", sa.Float(53)))
    op.add_column("ls_runs", sa.Column("events_expired", sa.Boolean))
    _index_where_set("ls_runs_by_tenant_ready_at", ["tenant", "ready_at"], "ready_at")
    _index_where_set("ls_runs_by_parent", ["parent"], "parent")
    _index_where_set("ls_runs_by_label", ["tenant", "owner", "kind", "label", "created_at", "id"], "label")
    _index_where_set("ls_runs_by_events_expire_at", ["events_expire_at"], "events_expire_at")


def _index_where_set(name: str, columns: list[str], column: str) -> None:
    is_set = sa.text(f"{column} IS NOT NULL")
    op.create_index(name, "ls_runs", columns, sqlite_where=is_set, postgresql_where=is_set)


def _conversations() -> None:
    op.create_table(
        "ls_conversations",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("next_position", sa.BigInteger, nullable=False),
        sa.Column("item_count", sa.BigInteger, nullable=False),
        sa.Column("byte_count", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "ls_conversation_items",
        _part_of("conversation", "ls_conversations.id"),
        sa.Column("position", sa.BigInteger, primary_key=True),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("run", sa.Text),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("ls_conversation_items_by_id", "ls_conversation_items", ["id", "conversation"], unique=True)


def _prompts() -> None:
    op.create_table(
        "ls_prompts",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.Column("latest_version", sa.Integer, nullable=False),
        sa.Column("default_version", sa.Integer, nullable=False),
    )
    op.create_index("ls_prompts_by_owner", "ls_prompts", ["tenant", "owner", "created_at", "id"])
    op.create_table(
        "ls_prompt_versions",
        _part_of("prompt", "ls_prompts.id"),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("variables", sa.Text, nullable=False),
    )


def _connectors() -> None:
    op.create_table(
        "ls_connectors",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("secrets", sa.LargeBinary),
    )


def _part_of(name: str, whole: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, sa.ForeignKey(whole, ondelete="CASCADE"), primary_key=True)
