"""Blocking work of a provider, in threads of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Threads:
    """A few threads, made as they are needed. `run` may be used once `open` was, until `close` is."""

    def __init__(self, name: str, *, threads_max: int) -> None:
        self._name = name
        self._threads_max = threads_max
        self._pool: ThreadPoolExecutor | None = None

    def open(self) -> None:
        self._pool = ThreadPoolExecutor(self._threads_max, thread_name_prefix=self._name)

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(pool.shutdown)

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """What the function gives. Whoever is cancelled while it runs gets to know when it has ended: a descriptor may
        then be closed, or a file removed, with nobody still at work on it."""
        work = self._start(partial(function, *args, **kwargs))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await ended(work)
            raise

    async def run_detached(self, function: Callable[[], R]) -> R:
        """The same, but whoever is cancelled goes on at once: for work that holds nothing."""
        work = self._start(function)
        work.add_done_callback(_heard)
        return await asyncio.shield(work)

    def _start(self, function: Callable[[], R]) -> asyncio.Future[R]:
        if self._pool is None:
            raise RuntimeError(f"'{self._name}' is not open")
        return asyncio.get_running_loop().run_in_executor(self._pool, function)


async def ended(work: asyncio.Future[R]) -> None:
    """Waits for the end of the work, however often the waiting is cancelled. Its result or failure is dropped."""
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            continue
    _heard(work)


def _heard(work: asyncio.Future[R]) -> None:
    """Otherwise a failure that nobody waits for any more is reported as a forgotten one."""
    if not work.cancelled():
        work.exception()
