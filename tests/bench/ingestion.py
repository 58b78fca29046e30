"""How fast files become searchable, end to end over HTTP: uploaded, then attached as one batch and waited for; with
MiniLM, and with a loopback upstream that embeds at once, so that what is left is ours."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import httpx

from tests.bench import servers
from tests.bench.knowledge_corpus import text_of
from tests.bench.knowledge_server import (
    EMBEDDING_MODEL,
    INSTANT_MODEL,
    KNOWLEDGE,
    client_of,
    ingest,
    new_store,
    upload,
)
from tests.bench.relevance import passages
from tests.bench.tables import table

WATCHED_S: Final = 0.02
HEAD: Final = [
    "files", "embedding", "MB of text", "chunks", "upload ms each", "files/s", "chunks/s",
    "CPU s per 1,000 chunks", "MB before", "MB at most",
]  # fmt: skip


@dataclass(slots=True)
class Peak:
    mb: float = 0.0


def ingestion(scale: float) -> None:
    rows = []
    texts = list(passages().values())
    few, many = max(5, int(20 * scale)), max(20, int(300 * scale))
    loads: list[tuple[str, str, Mapping[str, str]]] = [
        (f"{few} of 4 KB", EMBEDDING_MODEL, _files(texts, few, 25)),
        (f"{many} of 4 KB", INSTANT_MODEL, _files(texts, many, 25)),
        ("one", INSTANT_MODEL, _files(texts, 1, int(12_000 * scale))),
        ("one", INSTANT_MODEL, _files(texts, 1, int(48_000 * scale))),
    ]
    with (
        servers.upstream() as upstream,
        servers.llama_stack(upstream, KNOWLEDGE) as server,
        client_of(server.port) as client,
    ):
        for model in (EMBEDDING_MODEL, INSTANT_MODEL):
            _measured(server, client, model, {"warm.txt": text_of(1)})
        for name, model, files in loads:
            rows.append([name, model.partition("/")[2], *_measured(server, client, model, files)])
    table("ingestion over HTTP", HEAD, rows)


def _measured(server: servers.Server, client: httpx.Client, model: str, files: Mapping[str, str]) -> list[str]:
    store = new_store(client, embedding_model=model, embedding_dimension=384)
    started = time.perf_counter()
    file_ids = [upload(client, name, text.encode()) for name, text in files.items()]
    uploaded_ms = (time.perf_counter() - started) / len(files) * 1000
    at_rest, cpu_s, started = server.memory_mb(), server.cpu_s(), time.perf_counter()
    with _watched(server) as peak:
        ingest(client, store, file_ids)
    took_s, cpu_s = time.perf_counter() - started, server.cpu_s() - cpu_s
    chunks = sum(_chunks(client, store, file_id) for file_id in file_ids)
    return [
        f"{sum(map(len, files.values())) / 1e6:.1f}",
        f"{chunks:,}",
        f"{uploaded_ms:.1f}",
        f"{len(files) / took_s:.1f}",
        f"{chunks / took_s:,.0f}",
        f"{cpu_s / chunks * 1000:.2f}",
        f"{at_rest:.0f}",
        f"{peak.mb:.0f}",
    ]


def _chunks(client: httpx.Client, store: str, file_id: str) -> int:
    """Of a file, counted page by page."""
    count, page = 0, None
    while True:
        params = {"include_metadata": "true"} | ({"page": page} if page else {})
        found = client.get(f"/vector_stores/{store}/files/{file_id}/content", params=params).raise_for_status().json()
        count, page = count + len(found["data"]), found.get("next_page")
        if not page:
            return count


@contextmanager
def _watched(server: servers.Server) -> Iterator[Peak]:
    """The resident set of the server's own process, at its highest."""
    peak, done = Peak(server.memory_mb()), threading.Event()

    def watch() -> None:
        while not done.wait(WATCHED_S):
            peak.mb = max(peak.mb, server.memory_mb())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def _files(texts: list[str], count: int, length: int) -> dict[str, str]:
    """Of so many passages each, in any order, so that no two chunks are the same."""
    draw = random.Random(length)
    return {f"{number}.txt": _document(draw, texts, length) for number in range(count)}


def _document(draw: random.Random, texts: list[str], length: int) -> str:
    return "\n\n".join(f"{draw.randrange(10**6)}. {text}" for text in draw.choices(texts, k=length))
