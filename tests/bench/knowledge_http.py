"""How fast the whole server searches: `POST /v1/vector_stores/{id}/search` over HTTP, one after another, each with a
query of its own. The rows are there before it starts; queries are embedded by a loopback upstream that answers at once,
and what that takes (`POST /v1/embeddings` of the same queries) is measured apart."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from llama_stack.config.storage import SqlSqliteBackend
from llama_stack.storage.sql.knowledge.chunks import ChunkTable
from llama_stack.storage.sql.knowledge.stores import VectorStoreTable
from llama_stack.storage.sql.open import open_sql
from llama_stack_api.principal import ANONYMOUS
from tests.bench import load, servers
from tests.bench.knowledge_corpus import FILTERS, Corpus, fill
from tests.bench.knowledge_server import INSTANT_MODEL, KNOWLEDGE
from tests.bench.tables import table

SIZES: Final = (1_000, 10_000, 100_000)
COUNT: Final = 300
WARM_UP: Final = 20
SETTLED_S: Final = 120.0
_TICK_S: Final = 0.5


def search(scale: float) -> None:
    rows = []
    for size in SIZES if scale == 1 else SIZES[:1]:
        with tempfile.TemporaryDirectory() as directory:
            store = asyncio.run(_fill(size, Path(directory)))
            with servers.upstream() as upstream:
                rows.append(_measured(size, store, Path(directory), upstream, max(30, int(COUNT * scale))))
    head = ["chunks", "reopened s", "MB", *(f"{name}: p50 / p99 / CPU ms" for name in ("embedding", *_searches()))]
    table("search over HTTP, one at a time", head, rows)


async def _fill(size: int, directory: Path) -> str:
    database = await open_sql(SqlSqliteBackend(db_path=directory / "sql.db"))
    try:
        stores, chunks = VectorStoreTable(database), ChunkTable(database)
        return (await fill(stores, chunks, Corpus.of(size), ANONYMOUS, "faiss", INSTANT_MODEL)).id
    finally:
        await database.close()


def _measured(size: int, store: str, state: Path, upstream: int, count: int) -> list[str]:
    cells = []
    with servers.llama_stack(upstream, KNOWLEDGE, state) as server:
        path = f"/v1/vector_stores/{store}/search"
        first = asyncio.run(load.each(server.port, iter([_body(path, _asked(-1))])))
        reopened_s = server.started_in_s + first.elapsed_s
        _settle(server)
        inputs = ({"model": INSTANT_MODEL, "input": _text(number)} for number in range(-WARM_UP, count))
        cells.append(_cost(server, (_body("/v1/embeddings", each) for each in inputs), count))
        for options in _searches().values():
            bodies = (_body(path, {**_asked(number), **options}) for number in range(-WARM_UP, count))
            cells.append(_cost(server, bodies, count))
        return [f"{size:,}", f"{reopened_s:.2f}", f"{server.memory_mb():.0f}", *cells]


def _searches() -> dict[str, Mapping[str, Any]]:
    by_filter = {
        f"vector, {name}": {"filters": filter_.model_dump() if filter_ is not None else None}
        for name, filter_ in FILTERS.items()
    }
    words = {name: {"search_mode": name} for name in ("keyword", "hybrid")}
    return {**by_filter, **words, "hybrid, rrf": {"search_mode": "hybrid", "ranking_options": {"ranker": "rrf"}}}


def _cost(server: servers.Server, requests: Iterator[bytes], count: int) -> str:
    async def both() -> tuple[load.Outcome, float]:
        await load.each(server.port, (next(requests) for _ in range(WARM_UP)))
        before = server.cpu_s()
        return await load.each(server.port, requests), server.cpu_s() - before

    outcome, cpu_s = asyncio.run(both())
    assert not outcome.failed, f"{outcome.failed} requests failed"
    taken = sorted(timing.whole_s * 1000 for timing in outcome.timings)
    return f"{taken[len(taken) // 2]:.2f} / {taken[int(len(taken) * 0.99)]:.2f} / {cpu_s / count * 1000:.2f}"


def _settle(server: servers.Server) -> None:
    """Until nothing is made behind the searches any more."""
    deadline, before = time.monotonic() + SETTLED_S, -1.0
    while server.cpu_s() - before > _TICK_S / 10 and time.monotonic() < deadline:
        before = server.cpu_s()
        time.sleep(_TICK_S)


def _body(path: str, body: Mapping[str, Any]) -> bytes:
    return load.request_bytes(path, json.dumps(body).encode())


def _asked(number: int) -> dict[str, Any]:
    return {"query": _text(number), "max_num_results": 10}


def _text(number: int) -> str:
    """A question with three words that some hundredths of the chunks have, and common ones."""
    words = [f"w{(number * step) % 5003}" for step in (17, 411, 1999)]
    return f"what the server is told of {words[0]} and {words[1]}, and who keeps {words[2]}?"
