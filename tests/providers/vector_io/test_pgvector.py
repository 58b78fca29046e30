"""What is particular to PostgreSQL: its indexes give up early, its tables are made by many at once."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from llama_stack_api.ports.vector_io import Index, IndexedChunk, VectorQuery
from tests.providers.vector_io.suite import chunk, filter_of, id_of, ids, opened_provider, packed, some_vector
from tests.support.databases import Postgres

pytestmark = pytest.mark.anyio

INDEX = Index("vs_1", 8)


@pytest.fixture
def where(postgres: Postgres) -> dict[str, Any]:
    return {"host": postgres.socket_directory, "db": postgres.create_database()}


async def _explained(where: dict[str, Any]) -> str:
    connection = await asyncpg.connect(host=where["host"], database=where["db"], user="postgres")
    try:
        query = "SELECT id FROM ls_vectors_vs_1 ORDER BY embedding <=> '[1,0,0,0,0,0,0,0]', id LIMIT 5"
        return "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {query}"))
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "vector_index",
    [{"type": "HNSW", "ef_search": 1}, {"type": "IVFFlat", "nlist": 20, "nprobe": 1}],
    ids=["HNSW", "IVFFlat"],
)
async def test_an_index_that_gives_up_loses_nothing(
    postgres: Postgres, where: dict[str, Any], vector_index: dict[str, Any], tmp_path: Path
) -> None:
    """The index is used, and looks at next to nothing; what matches is far from what is asked for."""
    for setting in (
        "enable_seqscan = off", "enable_bitmapscan = off", "hnsw.max_scan_tuples = 1", "ivfflat.max_probes = 1"
    ):  # fmt: skip
        postgres.execute(f"ALTER DATABASE {where['db']} SET {setting}")
    near, far = some_vector(0), [-value for value in some_vector(0)]
    async with opened_provider("remote::pgvector", tmp_path, **where, vector_index=vector_index) as provider:
        await provider.create_index(INDEX)
        rows = [chunk(n, far if n < 7 else [*near[:7], n / 100], attributes={"far": n < 7}) for n in range(1500)]
        await provider.upsert_chunks(INDEX, rows)
        assert "Index Scan using ls_vectors_vs_1_embedding" in await _explained(where)
        wanted = filter_of({"type": "eq", "key": "far", "value": True})
        hits = await provider.search_vectors(INDEX, VectorQuery(packed(near), 7, wanted))
        assert set(ids(hits)) == {id_of(n) for n in range(7)}
        many = filter_of({"type": "eq", "key": "far", "value": False})
        assert len(await provider.search_vectors(INDEX, VectorQuery(packed(near), 300, many))) == 300
        assert len(await provider.search_vectors(INDEX, VectorQuery(packed(near), 300))) == 300


async def test_many_make_the_first_index_at_once(where: dict[str, Any], tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        providers = [
            await stack.enter_async_context(opened_provider("remote::pgvector", tmp_path, **where)) for _ in range(6)
        ]
        await asyncio.gather(*(provider.create_index(INDEX) for provider in providers))
        await asyncio.gather(
            *(provider.upsert_chunks(INDEX, [chunk(n), chunk(n + 100)]) for n, provider in enumerate(providers))
        )
        assert len(await providers[0].search_vectors(INDEX, VectorQuery(packed(some_vector(1)), 50))) == 12


async def test_vectors_too_long_for_an_index_and_names_too_long_for_a_table(
    where: dict[str, Any], tmp_path: Path
) -> None:
    index = Index("Store_" + "x" * 90, 3072)
    vector = some_vector(1, 3072)
    async with opened_provider("remote::pgvector", tmp_path, **where) as provider:
        await provider.create_index(index)
        await provider.upsert_chunks(index, [IndexedChunk(id_of(1), "file-1", packed(vector), "", {})])
        (hit,) = await provider.search_vectors(index, VectorQuery(packed(vector), 5))
        assert hit.score == pytest.approx(1, abs=1e-5)
        await provider.create_index(Index("Store_" + "x" * 89 + "y", 8))
        await provider.delete_index(index)
        assert await provider.search_vectors(index, VectorQuery(packed(vector), 5)) == []
