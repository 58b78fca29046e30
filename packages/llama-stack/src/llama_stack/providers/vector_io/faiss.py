"""Vector search inside the server: exact while an index is small, by a graph (HNSW, faiss) when it is large."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from importlib.util import find_spec

from pydantic import BaseModel, ConfigDict, Field

from llama_stack.providers._shared.threads import Threads
from llama_stack.providers._shared.vector_cache.held import Surroundings
from llama_stack.providers._shared.vector_cache.keeper import Bounds, Keeper
from llama_stack_api.api import Api
from llama_stack_api.errors import NotImplementedByProvider
from llama_stack_api.ports.vector_io import Attributes, ChunkRows, Hit, Index, IndexedChunk, VectorQuery
from llama_stack_api.provider import ProviderContext, provider

_GIB = 1024**3


class FaissConfig(BaseModel):
    # An unknown key is the server's to report; `persistence` and `kvstore` of other servers are such.
    model_config = ConfigDict(extra="allow", defer_build=True)

    memory_bytes_max: int = Field(default=2 * _GIB, ge=1024**2)
    """Of the indexes in memory together. Those searched longest ago leave when it is reached; the one that is searched
    may be larger. 100,000 chunks of 384 numbers take about 220 MB."""
    idle_s: float = Field(default=3600.0, gt=0)
    """An index that was not searched for so long leaves memory."""
    disk_bytes_max: int = Field(default=20 * _GIB, ge=0)
    """Of the files from which indexes are loaded again. They are a cache: without one, an index is made of the rows."""
    flat_chunks_max: int = Field(default=20_000, ge=1)
    """Chunks up to which an index is searched exactly; beyond, by a graph."""
    saved_chunks_min: int = Field(default=5000, ge=1)
    """Chunks from which on an index has a file."""
    search_threads: int | None = Field(default=None, ge=1, le=256)
    """None: as many as there are cores."""
    build_threads: int | None = Field(default=None, ge=1, le=256)
    """For making graphs. None: half of the cores."""


@provider(
    api=Api.vector_io,
    type="inline::faiss",
    description="Vector search in memory, over the rows of the server's own database; nothing to install or to run. "
    "Keyword search is the server's.",
    config=FaissConfig,
    pip_packages=("faiss-cpu>=1.11,<2", "numpy>=2,<3"),
)
class Faiss:
    """Its indexes are caches of the server's rows (`FollowsRows`): there is nothing to tell it, and nothing to lose."""

    def __init__(self, config: FaissConfig, context: ProviderContext) -> None:
        cores = os.cpu_count() or 1
        self._config = config
        self._context = context
        self._searching = Threads(context.provider_id, threads_max=config.search_threads or cores)
        self._tidying = Threads(f"{context.provider_id} tidying", threads_max=1)
        self._build_threads = config.build_threads or max(1, cores // 2)
        self._keeper = Keeper(Bounds(config.memory_bytes_max, config.idle_s))
        self._keeping: asyncio.Task[None] | None = None
        self._around: Surroundings | None = None

    async def open(self) -> None:
        missing = [package for package in ("faiss", "numpy") if find_spec(package) is None]
        if missing:
            raise NotImplementedByProvider(
                f"Provider '{self._context.provider_id}' needs {' and '.join(missing)}: "
                "pip install 'llama-stack[faiss]'."
            )
        self._searching.open()
        self._tidying.open()
        self._keeping = asyncio.create_task(self._keeper.keep(), name=f"keep {self._context.provider_id}")

    async def close(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeping
        await self._keeper.close()
        await self._searching.close()
        await self._tidying.close()

    def follow(self, rows: ChunkRows) -> None:
        self._around = Surroundings(
            rows=rows,
            searching=self._searching,
            tidying=self._tidying,
            directory=self._context.state_dir / "indexes",
            disk_bytes_max=self._config.disk_bytes_max,
            flat_chunks_max=self._config.flat_chunks_max,
            saved_chunks_min=self._config.saved_chunks_min,
            build_threads=self._build_threads,
            on_growth=self._keeper.grown,
        )

    async def create_index(self, index: Index) -> None:
        """The first search makes it."""

    async def delete_index(self, index: Index) -> None:
        await self._keeper.delete(index, self._following)

    async def upsert_chunks(self, index: Index, chunks: Sequence[IndexedChunk]) -> None:
        """The next search finds them among the rows; so it is with the other changes."""

    async def delete_document(self, index: Index, document: str) -> None: ...

    async def set_attributes(self, index: Index, document: str, attributes: Attributes) -> None: ...

    async def search_vectors(self, index: Index, query: VectorQuery) -> list[Hit]:
        return await self._keeper.search(index, query, self._following)

    @property
    def _following(self) -> Surroundings:
        if self._around is None:
            raise RuntimeError("`follow` comes before searches")
        return self._around
