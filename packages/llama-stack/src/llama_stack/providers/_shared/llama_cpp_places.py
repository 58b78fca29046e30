"""The bound on how many requests one model takes, over every worker process of a server.

A place is a byte of a file, held by a POSIX record lock: the kernel frees the places of a process that dies, and no
process keeps count for the others.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path


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
