"""One thread for what computes inside the server, with a bounded queue before it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

from llama_stack_api.errors import Overloaded

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Worker:
    """`queue_max`: requests at work or waiting. The thread starts with the first of them."""

    def __init__(self, provider: str, queue_max: int) -> None:
        self._provider = provider
        self._queue_max = queue_max
        self._present = 0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=provider)

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Held for the whole of a request. `Overloaded` if there is none left."""
        if self._present >= self._queue_max:
            raise Overloaded(
                f"Provider '{self._provider}' has {self._present} requests at work or waiting; "
                "raise its queue_max to take more.",
                retry_after_s=1.0,
            )
        self._present += 1
        try:
            yield
        finally:
            self._present -= 1

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
