"""What a file says, page by page, over a real database."""

from __future__ import annotations

from pathlib import Path

import pytest

from llama_stack.config.storage import SqlSqliteBackend
from llama_stack.services.vector_stores.access import StoreAccess
from llama_stack.services.vector_stores.content import CHUNKS_MAX, FileContent
from llama_stack.storage.sql.open import open_sql
from llama_stack_api.principal import Call
from tests.storage.knowledge.tables import ALICE, KnowledgeTables, chunks, of

pytestmark = pytest.mark.anyio


async def test_a_file_of_more_chunks_than_a_page_has_another_page(tmp_path: Path) -> None:
    database = await open_sql(SqlSqliteBackend(db_path=tmp_path / "sql.db"))
    try:
        tables = KnowledgeTables(database)
        store = await tables.store()
        (attached,) = await tables.attach(store, "file-1")
        made = chunks(attached, [f"part {number}" for number in range(CHUNKS_MAX + 1)])
        for part in (made[:CHUNKS_MAX], made[CHUNKS_MAX:]):
            assert await tables.chunks.add(store.id, part, attachment=of(attached))
        content = FileContent(StoreAccess(tables.stores), tables.files, tables.chunks)
        call = Call(principal=ALICE)
        first = await content.content(store.id, "file-1", call, metadata=True)
        assert (len(first.data), first.has_more) == (CHUNKS_MAX, True)
        last = await content.content(store.id, "file-1", call, metadata=True, page=first.next_page)
        assert ([part.text for part in last.data], last.has_more) == ([f"part {CHUNKS_MAX}"], False)
    finally:
        await database.close()
