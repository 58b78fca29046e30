"""What the pipeline costs beside the embedding model, per 1000 chunks: `python -m tests.rag.bench`. Not a test.

The embedded model embeds a sample for comparison; the pipeline runs over a model that answers at once, so that all that
is counted is ours: chunking, words, rows, keyword index, version.
"""

from __future__ import annotations

import asyncio
import random
import re
import struct
import tempfile
import time
import tracemalloc
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from llama_stack.config.storage import SqlSqliteBackend
from llama_stack.config.vector_stores import VectorStoresConfig
from llama_stack.providers._shared.embedding_minilm import DIMENSION, TOKENS_MAX, MiniLM, batches
from llama_stack.rag.chunk import chunks_of
from llama_stack.rag.strategy import chunking_of, sizes_of
from llama_stack.storage.sql.knowledge.records import NewStore
from llama_stack.storage.sql.open import SqlBackendConfig, open_sql
from llama_stack_api.ports.file_processors import ParsedFile
from llama_stack_api.ports.vector_io import Attributes, ChunkRows, Hit, Index, IndexedChunk, VectorQuery
from llama_stack_api.principal import Call
from tests.support.databases import Postgres, postgres_server
from tests.support.ingesting import OWNER, ingesting
from tests.support.kept_index import PROVIDER

CHUNKS = 4000
SAMPLE = 60
CHUNKING = chunking_of(None, TOKENS_MAX, VectorStoresConfig())


class Instant:
    """An embedding model that answers at once."""

    async def embed(self, model: str, texts: Sequence[str], *, dimensions: int | None, call: Call) -> list[bytes]:
        return [struct.pack(f"<{DIMENSION}f", *[hash(text) % 1000 / 1000 + 0.1] * DIMENSION) for text in texts]

    def context_length(self, model: str) -> int | None:
        return TOKENS_MAX


class Following:
    """A provider that follows the rows, and is not asked to change anything."""

    def follow(self, rows: ChunkRows) -> None: ...
    async def create_index(self, index: Index) -> None: ...
    async def delete_index(self, index: Index) -> None: ...
    async def upsert_chunks(self, index: Index, chunks: Sequence[IndexedChunk]) -> None: ...
    async def delete_document(self, index: Index, document: str) -> None: ...
    async def set_attributes(self, index: Index, document: str, attributes: Attributes) -> None: ...
    async def search_vectors(self, index: Index, query: VectorQuery) -> list[Hit]:
        return []


def document(chunks: int, seed: int) -> str:
    """Sentences of our own README in any order; about so many chunks."""
    rng = random.Random(seed)
    sentences = [each.strip() for each in re.split(r"(?<=[.:])\s", Path("README.md").read_text()) if each.strip()]
    return "\n\n".join(" ".join(rng.choices(sentences, k=4)) for _ in range(chunks * 3))


def embedding_s(texts: Sequence[str]) -> float:
    """Seconds of MiniLM for 1000 such texts, on one thread."""
    model = MiniLM(threads=1)
    ids = model.tokenize(list(texts), TOKENS_MAX, truncate=True).ids
    model.embed([ids[0]])
    began = time.process_time()
    for batch in batches(ids):
        model.embed([ids[index] for index in batch])
    return (time.process_time() - began) / len(texts) * 1000


async def pipeline(backend: SqlBackendConfig, folder: Path, texts: dict[str, str]) -> tuple[float, float, int]:
    """CPU seconds and seconds per 1000 chunks, and the chunks."""
    database = await open_sql(backend)
    async with ingesting(database, folder, Instant(), provider=Following()) as site:
        store = await site.tables.stores.create(OWNER, NewStore("bench", PROVIDER, "instant", DIMENSION))
        cpu, began = time.process_time(), time.perf_counter()
        await site.attach(store, texts, chunking=CHUNKING)
        files = await site.settled(store)
        assert all(file.status == "completed" for file in files.values()), files
        cpu, took = time.process_time() - cpu, time.perf_counter() - began
        count = sum(file.chunks_done for file in files.values())
    await database.close()
    return cpu / count * 1000, took / count * 1000, count


async def measure(postgres: Postgres) -> None:
    text = document(CHUNKS, 1)
    sample = [chunk.text for chunk in islice(chunks_of(ParsedFile(text, "", ""), sizes_of(CHUNKING)), SAMPLE)]
    model_s = embedding_s(sample)
    print(f"embedding model: {model_s:.1f} s per 1000 chunks of {sizes_of(CHUNKING)}")
    with tempfile.TemporaryDirectory() as directory:
        for name in ("sqlite", "postgres"):
            folder = Path(directory) / name
            folder.mkdir()
            backend: SqlBackendConfig = SqlSqliteBackend(db_path=folder / "stack.db")
            if name == "postgres":
                backend = postgres.sql_backend(postgres.create_database())
            for label, texts in (
                ("one large file", {"large": text}),
                ("many files", {f"small{number}": document(4, number) for number in range(200)}),
            ):
                cpu, took, count = await pipeline(backend, folder, texts)
                print(f"{name:8} {label:14} {count:6} chunks: {cpu:.2f} CPU s, {took:.2f} s per 1000", end="; ")
                print(f"{took / model_s:.1%} of the model's time")
        tracemalloc.start()
        for size in (1, 4):
            tracemalloc.reset_peak()
            texts = {f"memory{size}": document(CHUNKS * size // 4, size)}
            held = tracemalloc.get_traced_memory()[0]
            await pipeline(SqlSqliteBackend(db_path=Path(directory) / f"m{size}.db"), Path(directory), texts)
            print(f"{len(next(iter(texts.values()))) / 1e6:.1f} MB of text: peak of", end=" ")
            print(f"{(tracemalloc.get_traced_memory()[1] - held) / 1e6:.1f} MB beside it")


if __name__ == "__main__":
    with postgres_server() as server:
        asyncio.run(measure(server))
