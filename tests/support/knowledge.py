"""The whole server with files, a parser, vector stores (faiss) and models on loopback: what tests of knowledge share.

The embedding model gives texts that share words similar vectors, so that a search finds what a reader would.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
import sqlite3
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from openai import AsyncOpenAI
from openai.types import VectorStore
from openai.types.vector_stores import VectorStoreFile

from tests.support.edge import client, sdk_for
from tests.support.server import Running
from tests.support.upstream import Answer, Recorded, Upstream, Wire
from tests.support.whole_stack import whole_stack

STORES = "/v1/vector_stores"
EMBEDDER = "up/embedder"
RERANKER = "up/reranker"
DIMENSION = 64


def embedded(text: str, dimension: int = DIMENSION) -> list[float]:
    """A bag of words, each at a place of its own, of length 1."""
    vector = [0.0] * dimension
    for word in re.findall(r"[a-z0-9]+", text.lower()):
        place = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "little")
        vector[place % dimension] += 1.0
    length = math.hypot(*vector) or 1.0
    return [value / length for value in vector]


def embedding_words(request: Recorded) -> Answer:
    """As a model that gives as many dimensions as it is asked for."""
    body = request.body
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    vectors = [embedded(text, body.get("dimensions") or DIMENSION) for text in texts]
    shown: list[Any] = vectors
    if body.get("encoding_format") == "base64":
        shown = [base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() for vector in vectors]
    data = [{"object": "embedding", "index": index, "embedding": each} for index, each in enumerate(shown)]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    return Wire().json({"object": "list", "data": data, "model": body["model"], "usage": usage})


@dataclass(frozen=True, slots=True)
class Library:
    directory: Path
    upstream: Upstream
    server: Running
    http: httpx.AsyncClient
    openai: AsyncOpenAI

    async def file(self, text: str, name: str = "notes.txt") -> str:
        return (await self.openai.files.create(file=(name, text.encode()), purpose="assistants")).id

    async def store(self, *texts: str, **options: Any) -> VectorStore:
        """With a file `0.txt`, `1.txt`, … of each text, ingested."""
        store = await self.openai.vector_stores.create(**options)
        for number, text in enumerate(texts):
            await self.attached(store.id, text, f"{number}.txt")
        return store

    async def attached(self, store_id: str, text: str, name: str = "notes.txt", **options: Any) -> VectorStoreFile:
        return await self.openai.vector_stores.files.create_and_poll(
            await self.file(text, name), vector_store_id=store_id, poll_interval_ms=20, **options
        )

    async def found(self, store_id: str, query: Any, **options: Any) -> list[str]:
        """The texts that a search finds, the best first."""
        page = await self.openai.vector_stores.search(store_id, query=query, **options)
        return [hit.content[0].text for hit in page.data]

    async def post(self, path: str, body: Any) -> httpx.Response:
        return await self.http.post(path, json=body)

    def sql(self, statement: str) -> None:
        """To the server's own database, behind its back."""
        for path in (self.directory / "store").glob("*.db"):
            with closing(sqlite3.connect(path)) as database:
                tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
                if "ls_vector_stores" in tables:
                    database.execute(statement)
                    database.commit()
                    return
        raise AssertionError("there is no database with vector stores")


def sections(directory: Path, upstream: Upstream, vector_io: str = "inline::faiss") -> dict[str, Any]:
    """Of a run config: `whole_stack` takes them."""
    inference = {"provider_id": "up", "provider_type": "remote::vllm", "config": {"base_url": upstream.base_url}}
    return {
        "providers": {
            "inference": [inference],
            "files": [
                {
                    "provider_id": "localfs",
                    "provider_type": "inline::localfs",
                    "config": {"storage_dir": str(directory / "files")},
                }
            ],
            "file_processors": [{"provider_id": "auto", "provider_type": "inline::auto", "config": {}}],
            "vector_io": [{"provider_id": vector_io.partition("::")[2], "provider_type": vector_io, "config": {}}],
        },
        "vector_stores": {"default_embedding_model": {"provider_id": "up", "model_id": "embedder"}},
    }


MODELS: list[dict[str, Any]] = [
    {
        "model_id": "embedder",
        "provider_id": "up",
        "model_type": "embedding",
        "metadata": {"embedding_dimension": DIMENSION},
        "model_validation": False,
    },
    {"model_id": "reranker", "provider_id": "up", "model_type": "rerank", "model_validation": False},
    {"model_id": "m", "provider_id": "up", "model_validation": False},
]


@asynccontextmanager
async def library(
    directory: Path, *, vector_io: str = "inline::faiss", **changed: Mapping[str, Any]
) -> AsyncIterator[Library]:
    """`vector_io` is the type of the index; `changed` are sections of the run config in place of those of
    `sections`."""
    async with Upstream() as upstream:
        upstream.always(embedding_words, on="/embeddings")
        said = {**sections(directory, upstream, vector_io), "registered_resources": {"models": MODELS}, **changed}
        async with (
            whole_stack(directory, [], [], **said) as server,
            client(server) as http,
            sdk_for(server) as openai,
        ):
            yield Library(directory, upstream, server, http, openai)
