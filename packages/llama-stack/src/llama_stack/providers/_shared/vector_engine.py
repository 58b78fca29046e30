"""What the providers of vector engines have in common: the order of hits, words of errors, clients that block."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

from llama_stack.providers._shared.threads import Threads
from llama_stack_api.errors import ProviderError
from llama_stack_api.ports.vector_io import Hit

TIES = 64
"""Hits to ask for beyond the limit: engines give those equally near in no order, and the limit would take any."""


class Closes(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=Closes)
R = TypeVar("R")


def nearest(hits: Iterable[Hit], limit: int) -> list[Hit]:
    """The best first, those with the same score in the order of their ids."""
    return sorted(hits, key=lambda hit: (-hit.score, hit.id))[:limit]


def no_such_index(name: str) -> ProviderError:
    return ProviderError(f"Provider '{name}' has no such index; it must be created first.")


class ThreadClient(Generic[C]):
    """The client of an engine in this process: used in one thread alone, and made there when it is first needed."""

    def __init__(self, name: str, connect: Callable[[], C]) -> None:
        self._threads = Threads(name, threads_max=1)
        self._connect = connect
        self._client: C | None = None

    def open(self) -> None:
        self._threads.open()

    async def close(self) -> None:
        if self._client is not None:
            await self._threads.run(self._client.close)
        await self._threads.close()

    async def run(self, work: Callable[[C], R]) -> R:
        return await self._threads.run(self._work, work)

    def _work(self, work: Callable[[C], R]) -> R:
        if self._client is None:
            self._client = self._connect()
        return work(self._client)
