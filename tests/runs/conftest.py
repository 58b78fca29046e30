"""The databases that this suite runs on: every test that takes `database` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from llama_stack.config.storage import SqlSqliteBackend
from llama_stack.storage.sql.database import Database
from llama_stack.storage.sql.open import SqlBackendConfig, open_sql
from tests.support.databases import Postgres, postgres

__all__ = ["postgres"]


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> SqlBackendConfig:
    if request.param == "sqlite":
        return SqlSqliteBackend(db_path=tmp_path / "runs.db")
    server: Postgres = request.getfixturevalue("postgres")
    return server.sql_backend(server.create_database())


@pytest.fixture
async def database(backend: SqlBackendConfig) -> AsyncIterator[Database]:
    opened = await open_sql(backend)
    yield opened
    await opened.close()
