"""The databases on which files are ingested: every test that takes `database` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from tests.support.databases import database, postgres

__all__ = ["database", "postgres"]
