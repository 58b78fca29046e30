"""Processes that ingest files are killed: every file ends completed or failed with its reason, no chunk is there twice,
none is missing, in the rows, in the words and in the index."""

from __future__ import annotations

import asyncio
import os
import random
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from llama_stack.config.storage import SqlSqliteBackend
from llama_stack.rag.chunk import chunks_of
from llama_stack.rag.strategy import sizes_of
from llama_stack.storage.sql.knowledge.records import StoreRecord
from llama_stack.storage.sql.knowledge.words import SqlKeywordIndex
from llama_stack.storage.sql.open import SqlBackendConfig, open_sql
from llama_stack_api.ports.file_processors import ParsedFile
from llama_stack_api.ports.vector_io import Index, KeywordQuery
from tests.support.databases import Postgres
from tests.support.embedding import DIMENSION, HashingEmbedder
from tests.support.ingesting import OWNER, POISON, SMALL, STRANGE, Ingesting, ingesting
from tests.support.ingesting_process import IngestingProcess

pytestmark = pytest.mark.anyio

SEEDS = int(os.environ.get("DURABILITY_SEEDS", "2"))
KILLS = 4
"""A run may be begun five times."""
POINTS = 90
"""Fewer than an undisturbed process reaches."""

LONG = "\n\n".join(f"Paragraph {number} tells of subject{number}, at some length, and ends." for number in range(250))
FILES = {
    "long": LONG,
    "twin": LONG,
    "middle": "\n".join(f"Line {number} of the table is about item{number}." for number in range(120)),
    **{f"short{number}": f"A few words about topic{number}." for number in range(4)},
    "bad": POISON,
    "odd": STRANGE,
}
FAILS = {"bad": "invalid_file", "odd": "unsupported_file"}


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> SqlBackendConfig:
    if request.param == "sqlite":
        return SqlSqliteBackend(db_path=tmp_path / "stack.db")
    server: Postgres = request.getfixturevalue("postgres")
    return server.sql_backend(server.create_database())


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_processes_are_killed_while_they_ingest(backend: SqlBackendConfig, tmp_path: Path, seed: int) -> None:
    folder, rng = tmp_path / "files", random.Random(seed)
    folder.mkdir()
    store = await attached(backend, folder)
    async with asyncio.timeout(120):
        kills = 0
        while kills < KILLS and await ended(
            IngestingProcess(backend, folder, store.id, rng.randint(2, POINTS)).start()
        ):
            kills += 1
        assert kills > 0
        assert await ended(IngestingProcess(backend, folder, store.id).start()) == 0
    await check(backend, folder, store)


async def attached(backend: SqlBackendConfig, folder: Path) -> StoreRecord:
    """As a server does that dies right after it has answered."""
    database = await open_sql(backend)
    async with ingesting(database, folder, HashingEmbedder(), dispatches=False) as site:
        store = await site.new_store()
        await site.attach(store, FILES)
    await database.close()
    return store


async def ended(process: ForkServerProcess) -> int:
    """0, or that it was killed."""
    await asyncio.to_thread(process.join, 60)
    assert process.exitcode in (0, -9)
    return process.exitcode


async def check(backend: SqlBackendConfig, folder: Path, store: StoreRecord) -> None:
    database = await open_sql(backend)
    async with ingesting(database, folder, HashingEmbedder(), dispatches=False) as site:
        files = await site.settled(store)
        assert files.keys() == FILES.keys()
        total = 0
        for name, text in FILES.items():
            if name in FAILS:
                assert (files[name].status, files[name].error_code) == ("failed", FAILS[name])
                assert await site.chunks(store, name) == []
                assert site.index.ids(store.index_id, name) == set()
            else:
                assert files[name].status == "completed", files[name]
                total += await check_chunks(site, store, name, text)
        assert len(site.index.ids(store.index_id)) == total
        words = KeywordQuery(("subject7", "item8", "topic3"), 100)
        hits = await SqlKeywordIndex(database).search_keywords(Index(store.index_id, DIMENSION), words)
        assert len({hit.id for hit in hits}) == len(hits) >= 4
        counts = (await site.tables.stores.get(OWNER, store.id)).counts
        assert (counts.completed, counts.failed, counts.total) == (len(FILES) - len(FAILS), len(FAILS), len(FILES))
        assert await site.tables.changes.pending() == []
    await database.close()


async def check_chunks(site: Ingesting, store: StoreRecord, name: str, text: str) -> int:
    expected = [chunk.text for chunk in chunks_of(ParsedFile(text, "", ""), sizes_of(SMALL))]
    rows = await site.chunks(store, name)
    assert [row.ordinal for row in rows] == list(range(len(expected)))
    assert [row.text for row in rows] == expected
    assert site.index.ids(store.index_id, name) == {row.id for row in rows}
    assert (await site.files(store))[name].chunks_done == len(expected)
    return len(expected)
