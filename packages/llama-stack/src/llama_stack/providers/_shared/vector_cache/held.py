"""One index in memory: brought up to the version that a search asks for, kept in order behind the searches' backs."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from llama_stack.providers._shared.threads import Threads
from llama_stack_api.ports.vector_io import ChunkRows, Hit, Index, VectorQuery

if TYPE_CHECKING:
    from llama_stack.providers._shared.vector_cache.contents import Contents
    from llama_stack.providers._shared.vector_cache.snapshot import Snapshot, SnapshotFiles

UNSAVED_SHARE: Final = 0.2
"""Of the chunks: so many changes make a new file worth while."""
UNSAVED_SHARE_AT_END: Final = 0.02
"""So many do when the index leaves memory: fewer are read sooner than a file is written."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all indexes of a provider share. `searching` runs what somebody waits for, `tidying` what nobody does;
    `on_growth` is called when an index has become larger."""

    rows: ChunkRows
    searching: Threads
    tidying: Threads
    directory: Path
    disk_bytes_max: int
    flat_chunks_max: int
    saved_chunks_min: int
    build_threads: int
    on_growth: Callable[[], None]

    def files(self) -> SnapshotFiles:
        from llama_stack.providers._shared.vector_cache.snapshot import SnapshotFiles

        return SnapshotFiles(self.directory, self.disk_bytes_max)

    def load(self, index: Index) -> Contents:
        """From the file if there is one; else empty. In a thread: the first to come imports numpy."""
        return self.files().load(index, self.flat_chunks_max) or self.empty(index)

    def empty(self, index: Index) -> Contents:
        from llama_stack.providers._shared.vector_cache.contents import Contents
        from llama_stack.providers._shared.vector_cache.table import VectorTable

        return Contents(VectorTable(index.dimension), self.flat_chunks_max)

    def remove(self, index: Index) -> None:
        self.files().remove(index)


class HeldIndex:
    """Not there at first. One task at a time changes the contents, under `_changing`; searches wait for none."""

    def __init__(self, index: Index, around: Surroundings) -> None:
        self.index = index
        self.used_at = time.monotonic()
        self._around = around
        self._contents: Contents | None = None
        self._changing = asyncio.Lock()
        self._catching: asyncio.Task[Contents] | None = None
        self._tidying: asyncio.Task[None] | None = None
        self._unsaved = 0
        """Chunks that changed since the file was written."""
        self._closed = threading.Event()
        self._logger = structlog.stdlib.get_logger("llama_stack.vector_io")

    @property
    def nbytes(self) -> int:
        return self._contents.nbytes if self._contents else 0

    @property
    def is_busy(self) -> bool:
        return self._catching is not None or self._tidying is not None

    async def search(self, query: VectorQuery) -> list[Hit]:
        self.used_at = time.monotonic()
        contents = await self._at(query.version)
        return await self._around.searching.run(contents.search, query) if contents else []

    async def close(self, *, save: bool) -> None:
        """The work behind the searches' backs ends; `save`: what a new start would have to read again is written."""
        self._closed.set()
        if self._tidying is not None:
            self._tidying.cancel()
            await asyncio.wait([self._tidying])
        if self._catching is not None:  # somebody waits for it
            await asyncio.wait([self._catching])
        contents = self._contents
        if save and contents is not None and self._unsaved > UNSAVED_SHARE_AT_END * len(contents.table):
            await self._save(contents)

    # --- catching up

    async def _at(self, version: int) -> Contents | None:
        """What is at `version` or later. None: there has never been anything."""
        contents = self._contents
        if contents is None and version == 0:
            return None
        for _ in range(2):  # what is under way already may have begun before `version` was
            if contents is not None and contents.version >= version:
                break
            if self._catching is None:
                self._catching = asyncio.create_task(self._catch_up_once(), name=f"catch up {self.index.id}")
                self._catching.add_done_callback(self._caught_up)
            # Whoever asked may leave; the others wait on, and the next search finds the work done.
            contents = await asyncio.shield(self._catching)
        return contents

    async def _catch_up_once(self) -> Contents:
        try:
            return await self._catch_up()
        finally:
            self._catching = None  # at once: whoever came to a task that has ended would get an old version from it

    def _caught_up(self, task: asyncio.Task[Contents]) -> None:
        if task.cancelled() or task.exception() is not None:  # told to those who wait
            return
        self._around.on_growth()
        if self._tidying is None and not self._closed.is_set():
            self._tidying = asyncio.create_task(self._tidy(), name=f"tidy {self.index.id}")
            self._tidying.add_done_callback(self._tidied)

    async def _catch_up(self) -> Contents:
        run, rows = self._around.searching.run, self._around.rows
        async with self._changing:
            contents = self._contents
            if contents is None:
                contents = await run(self._around.load, self.index)
            delta = await rows.since(self.index, contents.version)
            if delta.version < contents.version:  # the rows are of an earlier time than the file: a restored backup
                delta = await rows.since(self.index, 0)
                contents = self._around.empty(self.index)
            elif delta.changes is None:
                contents = self._around.empty(self.index)
            if delta.changes:
                self._unsaved += len(delta.changes)
                await run(contents.change, delta.changes)
            async for chunks in delta.chunks:
                self._unsaved += len(chunks)
                await run(contents.add, chunks)
            contents.version = delta.version
            self._contents = contents
            return contents

    # --- keeping in order

    def _tidied(self, task: asyncio.Task[None]) -> None:
        self._tidying = None
        self._around.on_growth()
        if not task.cancelled() and (error := task.exception()) is not None:
            # Searches are right without: they compare one by one, and a restart reads the rows.
            self._logger.error("vector_cache.not_tidied", index=self.index.id, error=repr(error))

    async def _tidy(self) -> None:
        """Until there is nothing to do: drop the dead, make or extend the graph, write the file."""
        run = self._around.tidying.run
        while not self._closed.is_set():
            async with self._changing:
                contents = self._contents
                if contents is None:
                    return
                if (fresh := await run(contents.without_the_dead)) is not None:
                    self._contents = contents = fresh
                work = contents.graph_work()
            if work is not None:
                graph = await run(work.do, self._goes_on, self._around.build_threads)
                if self._contents is contents:
                    contents.graph = graph
                    self._unsaved += len(work.places)
            elif self._unsaved >= max(self._around.saved_chunks_min, UNSAVED_SHARE * len(contents.table)):
                await self._save(contents)
            else:
                return

    def _goes_on(self) -> bool:
        return not self._closed.is_set()

    async def _save(self, contents: Contents) -> None:
        if len(contents.table) < self._around.saved_chunks_min:
            self._unsaved = 0  # so few are read as quickly from the rows
            return
        async with self._changing:
            unsaved = self._unsaved
            snapshot = await self._around.tidying.run(self._snapshot, contents)
        try:
            await self._around.tidying.run(self._around.files().save, snapshot)
        except OSError as error:
            self._logger.warning("vector_cache.not_saved", index=self.index.id, error=str(error))
        self._unsaved -= unsaved  # also where it failed: the next try is when as much has changed again

    def _snapshot(self, contents: Contents) -> Snapshot:
        from llama_stack.providers._shared.vector_cache.snapshot import snapshot_of

        return snapshot_of(self.index, contents)
