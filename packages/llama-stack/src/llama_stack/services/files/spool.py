"""Bytes on the local disk for as long as somebody needs them there."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

PIECE_BYTES = 1024 * 1024
LEFT_BEHIND_AFTER_S = 24 * 3600.0
"""Where the file system has no locks: the age at which a copy belongs to nobody."""


class Spool:
    """A directory, made when needed. Several processes may share it: each holds a lock on its copies, so that those of
    a process that crashed are known."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @asynccontextmanager
    async def copy(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[Path]:
        """All of `pieces` in a file that is there within the block."""
        file, path = await asyncio.to_thread(self._open)
        try:
            await _written(file, pieces)
            yield path
        finally:
            await asyncio.to_thread(_removed, file, path)

    async def tidy(self) -> None:
        """Remove what crashed processes left."""
        await asyncio.to_thread(self._tidy)

    def _open(self) -> tuple[BinaryIO, Path]:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            path = self._directory / f"{token_hex(16)}.tmp"
            file = path.open("xb", buffering=0)
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_nlink:
                return file, path
            file.close()  # another process is tidying, and found it before it was locked

    def _tidy(self) -> None:
        for path in self._directory.glob("*.tmp"):
            with suppress(FileNotFoundError), path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                except OSError:
                    if time.time() - path.stat().st_mtime < LEFT_BEHIND_AFTER_S:
                        continue
                path.unlink()


def _removed(file: BinaryIO, path: Path) -> None:
    path.unlink(missing_ok=True)
    file.close()


async def read(path: Path) -> AsyncIterator[bytes]:
    """A file's bytes, piece by piece."""
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
            yield piece
    finally:
        await asyncio.to_thread(file.close)


async def _written(file: BinaryIO, pieces: AsyncIterator[bytes]) -> None:
    """In pieces large enough to be worth a thread's while."""
    waiting, size = [], 0
    async for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES:
            await asyncio.to_thread(_write_all, file, b"".join(waiting))
            waiting, size = [], 0
    await asyncio.to_thread(_write_all, file, b"".join(waiting))


def _write_all(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
