"""The tables of knowledge over an empty database of each kind, by one clock that goes on by itself."""

from __future__ import annotations

import pytest

from llama_stack.storage.sql.database import Database
from tests.storage.knowledge.tables import KnowledgeTables


@pytest.fixture
def tables(database: Database) -> KnowledgeTables:
    return KnowledgeTables(database)
