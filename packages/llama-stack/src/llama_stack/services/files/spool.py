"""Bytes on the local disk for as long as somebody needs them there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

PIECE_BYTES = 1024 * 1024
LEFT_BEHIND_AFTER_S = 24 * 3600.0


class Spool:
    """A directory, made when needed. Several processes may share it; what one of them left behind at a crash goes the
    next day."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @asynccontextmanager
    async def copy(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[Path]:
        """All of `pieces` in a file that is there within the block."""
        path = self._directory / f"{token_hex(16)}.tmp"
        file = await asyncio.to_thread(self._open, path)
        try:
            try:
                await _written(file, pieces)
            finally:
                await asyncio.to_thread(file.close)
            yield path
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def tidy(self) -> None:
        """Remove what crashed processes left."""
        await asyncio.to_thread(self._tidy)

    def _open(self, path: Path) -> BinaryIO:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path.open("xb")

    def _tidy(self) -> None:
        before = time.time() - LEFT_BEHIND_AFTER_S
        for path in self._directory.glob("*.tmp"):
            if path.stat().st_mtime < before:
                path.unlink(missing_ok=True)


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
            await asyncio.to_thread(file.write, b"".join(waiting))
            waiting, size = [], 0
    await asyncio.to_thread(file.write, b"".join(waiting))
