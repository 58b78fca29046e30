"""The indexes of a provider that are in memory, within its bounds."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass

import structlog

from llama_stack.providers._shared.vector_cache.held import HeldIndex, Surroundings
from llama_stack_api.ports.vector_io import Hit, Index, VectorQuery


@dataclass(frozen=True, slots=True)
class Bounds:
    """`memory_bytes_max`: over all indexes; `idle_s`: after so long without a search an index leaves."""

    memory_bytes_max: int
    idle_s: float


class Keeper:
    """`keep` runs as long as the provider is open."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._held: dict[str, HeldIndex] = {}
        self._wake = asyncio.Event()
        self._logger = structlog.stdlib.get_logger("llama_stack.vector_io")

    def __len__(self) -> int:
        return len(self._held)

    @property
    def nbytes(self) -> int:
        return sum(held.nbytes for held in self._held.values())

    def grown(self) -> None:
        self._wake.set()

    async def search(self, index: Index, query: VectorQuery, around: Surroundings) -> list[Hit]:
        held = self._held.get(index.id)
        if held is None:
            held = self._held[index.id] = HeldIndex(index, around)
        return await held.search(query)

    async def delete(self, index: Index, around: Surroundings) -> None:
        held = self._held.pop(index.id, None)
        if held is not None:
            await held.close(save=False)
        await around.tidying.run(around.remove, index)

    async def keep(self) -> None:
        """Unloads what nobody asks, and what asked least recently when memory is short."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._bounds.idle_s / 4):
                    await self._wake.wait()
            self._wake.clear()
            for held in self._superfluous():
                self._held.pop(held.index.id)
                try:
                    await held.close(save=True)
                except Exception as error:  # noqa: BLE001 - a task's boundary; the index is a cache
                    self._logger.error("vector_cache.not_unloaded", index=held.index.id, error=repr(error))

    async def close(self) -> None:
        held, self._held = list(self._held.values()), {}
        for each in held:
            await each.close(save=True)

    def _superfluous(self) -> list[HeldIndex]:
        oldest_first = sorted(self._held.values(), key=lambda held: held.used_at)
        total, now = self.nbytes, time.monotonic()
        leaving = []
        for held in oldest_first:
            is_idle = now - held.used_at >= self._bounds.idle_s
            # The one asked last stays, however large it is: it could not be searched otherwise.
            is_too_much = total > self._bounds.memory_bytes_max and held is not oldest_first[-1]
            if (is_idle or is_too_much) and not held.is_busy:
                leaving.append(held)
                total -= held.nbytes
        return leaving
