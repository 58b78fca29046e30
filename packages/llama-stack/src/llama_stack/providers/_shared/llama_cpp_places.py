"""The bound on how many requests one model takes, over every worker process of a server.

A place is a byte of a file, held by a POSIX record lock: the kernel frees the places of a process that dies, and no
process keeps count for the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

_LOOK_EVERY_S = 0.02


class Places:
    """`count` places. One object per file and process: POSIX drops all locks when any descriptor of it is closed."""

    def __init__(self, path: Path, count: int) -> None:
        self._path = path
        self._count = count
        self._held: set[int] = set()
        self._file: int | None = None
        self._next = os.getpid() % count

    def take(self) -> Callable[[], None] | None:
        """A place, as the function that gives it back (once; more often does nothing), or None if all are taken."""
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        for step in range(self._count):
            place = (self._next + step) % self._count
            if place not in self._held and self._lock(self._file, place):
                self._held.add(place)
                self._next = place + 1
                return self._returner(place)
        return None

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
        self._file = None
        self._held.clear()

    @staticmethod
    def _lock(file: int, place: int) -> bool:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError:
            return False
        return True

    def _returner(self, place: int) -> Callable[[], None]:
        returned = False

        def give_back() -> None:
            nonlocal returned
            if not returned and self._file is not None:
                self._held.discard(place)
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)
            returned = True

        return give_back


class Turns:
    """`count` requests at a time, over all processes; the others wait here, in order of arrival within one process.

    They wait here and not in llama.cpp because it would not notice that a waiting client has gone.
    """

    def __init__(self, path: Path, count: int) -> None:
        self._places = Places(path, count)
        self._line = asyncio.Lock()
        self._freed = asyncio.Event()

    async def take(self) -> Callable[[], None]:
        """Wait for a turn. Returns what ends it."""
        async with self._line:
            while (give_back := self._places.take()) is None:
                self._freed.clear()
                # Only the first in line looks, and only for what another process gives back.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._freed.wait(), _LOOK_EVERY_S)
        return lambda: self._end(give_back)

    def close(self) -> None:
        self._places.close()

    def _end(self, give_back: Callable[[], None]) -> None:
        give_back()
        self._freed.set()
