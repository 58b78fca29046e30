"""How fast the vector_io providers inside the server search, over rows in a real SQLite file, each in a process of its
own. Times are those of `search_vectors` alone, one query after another, each a new one."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from llama_stack.config.storage import SqlSqliteBackend
from llama_stack.storage.sql.knowledge.changes import StoreChanges
from llama_stack.storage.sql.knowledge.chunks import ChunkTable
from llama_stack.storage.sql.knowledge.records import StoreRecord
from llama_stack.storage.sql.knowledge.stores import VectorStoreTable
from llama_stack.storage.sql.open import open_sql
from llama_stack_api.ports.vector_io import FollowsRows, Hit, Index, IndexedChunk, VectorIndex, VectorQuery
from llama_stack_api.principal import Principal
from tests.bench.knowledge_corpus import FILTERS, Corpus, fill
from tests.bench.tables import table

SIZES = (1_000, 10_000, 100_000)
SIZES_OF = {"inline::faiss": SIZES, "inline::sqlite-vec": SIZES}
LIMIT = 10
OWNER = Principal("bench", "bench")
HEAD = [
    "provider", "chunks", "rows/s", "index s", "settled s", "reopen s", "MB",
    *(f"{name}: p50 / p99 / CPU ms" for name in FILTERS), "recall@10 (least)", "loop held ms",
]  # fmt: skip


def search(scale: float) -> None:
    for provider, sizes in SIZES_OF.items():
        for size in sizes if scale == 1 else sizes[:2]:
            subprocess.run([sys.executable, "-m", "tests.bench.knowledge", provider, str(size)], check=True)


async def measure(provider: str, size: int, directory: Path) -> list[str]:
    corpus = Corpus.of(size)
    database = await open_sql(SqlSqliteBackend(db_path=directory / "sql.db"))
    try:
        started = time.perf_counter()
        store = await fill(VectorStoreTable(database), ChunkTable(database), corpus, OWNER, provider)
        rows_per_s = size / (time.perf_counter() - started)
        lag, before = _Lag(), _memory_mb()
        async with _opened(provider, directory, StoreChanges(database)) as index:
            async with lag.measured():
                indexed_s, settled_s = await _index(index, corpus, store)
            memory = _memory_mb() - before
            times, recalls = await _search(index, corpus, store)
        started = time.perf_counter()
        async with _opened(provider, directory, StoreChanges(database)) as index:
            await index.search_vectors(_index_of(store), _query(corpus, 0, "none", store))
            reopened_s = time.perf_counter() - started
    finally:
        await database.close()
    figures = [f"{rows_per_s:,.0f}", f"{indexed_s:.2f}", f"{settled_s:.1f}", f"{reopened_s:.2f}", f"{memory:.0f}"]
    shown = [" / ".join(f"{ms:.2f}" for ms in of_filter) for of_filter in times.values()]
    return [provider, f"{size:,}", *figures, *shown, f"{min(recalls.values()):.3f}", f"{lag.longest_ms:.0f}"]


async def _index(index: VectorIndex, corpus: Corpus, store: StoreRecord) -> tuple[float, float]:
    """Seconds until it can be searched, and until nothing goes on behind it any more."""
    started = time.perf_counter()
    place = _index_of(store)
    if not isinstance(index, FollowsRows):
        await index.create_index(place)
        for batch in corpus.batches():
            chunks = [
                IndexedChunk(each.id, each.document, each.embedding or b"", each.text, each.attributes)
                for each in batch
            ]
            await index.upsert_chunks(place, chunks)
    await index.search_vectors(place, _query(corpus, 0, "none", store))
    indexed_s = time.perf_counter() - started
    while any("tidy" in task.get_name() for task in asyncio.all_tasks()):
        await asyncio.sleep(0.05)
    return indexed_s, time.perf_counter() - started


async def _search(
    index: VectorIndex, corpus: Corpus, store: StoreRecord
) -> tuple[dict[str, tuple[float, float, float]], dict[str, float]]:
    """By filter: median and 99th percentile in ms, CPU ms of the process; the share of the truly nearest found."""
    times, recalls = {}, {}
    for name in FILTERS:
        taken, answers, kept = [], list[list[Hit]](), corpus.kept(name)
        used = time.process_time()
        for number in range(len(corpus.queries)):
            query = _query(corpus, number, name, store)
            started = time.perf_counter()
            answers.append(await index.search_vectors(_index_of(store), query))
            taken.append((time.perf_counter() - started) * 1000)
        cpu_ms = (time.process_time() - used) * 1000 / len(answers)
        taken.sort()
        times[name] = (taken[len(taken) // 2], taken[int(len(taken) * 0.99)], cpu_ms)
        recalls[name] = _recall(corpus, kept, answers)
    return times, recalls


def _recall(corpus: Corpus, kept: NDArray[np.bool_], answers: list[list[Hit]]) -> float:
    """Of every fifth answer."""
    found = wanted = 0
    for number in range(0, len(answers), 5):
        truth = corpus.nearest(corpus.queries[number], LIMIT, kept)
        wanted += len(truth)
        found += len(truth & {hit.id for hit in answers[number]})
    return found / wanted if wanted else 1.0


def _query(corpus: Corpus, number: int, filter_name: str, store: StoreRecord) -> VectorQuery:
    vector = corpus.queries[number % len(corpus.queries)].astype("<f4").tobytes()
    return VectorQuery(vector, LIMIT, FILTERS[filter_name], store.version)


def _index_of(store: StoreRecord) -> Index:
    return Index(store.index_id, store.embedding_dimension)


@contextlib.asynccontextmanager
async def _opened(provider: str, directory: Path, rows: StoreChanges) -> AsyncIterator[VectorIndex]:
    from tests.providers.vector_io.suite import opened_provider

    async with opened_provider(provider, directory / "state") as opened:
        if isinstance(opened, FollowsRows):
            opened.follow(rows)
        yield opened


class _Lag:
    """The longest time for which the event loop did not get to its turn."""

    longest_ms = 0.0

    @contextlib.asynccontextmanager
    async def measured(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._watch())
        yield
        task.cancel()

    async def _watch(self) -> None:
        while True:
            started = time.perf_counter()
            await asyncio.sleep(0.001)
            self.longest_ms = max(self.longest_ms, (time.perf_counter() - started) * 1000 - 1)


def _memory_mb() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    provider, size = sys.argv[1], int(sys.argv[2])
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as directory:
        row = asyncio.run(measure(provider, size, Path(directory)))
    table(f"vector search: {provider}, {size:,} chunks x 384", HEAD, [row])


if __name__ == "__main__":
    main()
