"""Reads a hostile file, and looks after: the server's process has not grown, and the next file is read at once."""

from __future__ import annotations

import os
import time
from pathlib import Path

from llama_stack_api.errors import InvalidFile, UnsupportedFile
from llama_stack_api.ports.file_processors import ParsedFile
from tests.support.file_processors import Processor

GROWTH_BYTES_MAX = 48 * 1024 * 1024
WITHIN_S = 15.0


class Guard:
    def __init__(self, processor: Processor) -> None:
        self.processor = processor

    async def refused(self, content: bytes | Path, filename: str = "hostile", content_type: str = "") -> str:
        """What the error says."""
        outcome = await self.survived(content, filename, content_type)
        assert isinstance(outcome, (InvalidFile, UnsupportedFile)), f"it was read: {outcome.text[:200]!r}"
        return outcome.message

    async def read(self, content: bytes | Path, filename: str = "hostile", content_type: str = "") -> ParsedFile:
        outcome = await self.survived(content, filename, content_type)
        assert isinstance(outcome, ParsedFile), outcome
        return outcome

    async def survived(
        self, content: bytes | Path, filename: str = "hostile", content_type: str = ""
    ) -> ParsedFile | InvalidFile | UnsupportedFile:
        """Either outcome, in time, without harm to anybody."""
        path = content if isinstance(content, Path) else self.processor.kept(content)
        before, started = resident_bytes(), time.perf_counter()
        outcome: ParsedFile | InvalidFile | UnsupportedFile
        try:
            outcome = await self.processor.read_path(path, filename, content_type)
        except (InvalidFile, UnsupportedFile) as error:
            outcome = error
        assert str(path) not in str(outcome)
        assert time.perf_counter() - started < WITHIN_S
        assert resident_bytes() - before < GROWTH_BYTES_MAX
        again = time.perf_counter()
        assert (await self.processor.read(b"next", "next.txt")).text == "next"
        assert time.perf_counter() - again < 5
        assert len(self.processor.pids) == 1
        return outcome


def resident_bytes(pid: int | None = None) -> int:
    """Of this process, or another."""
    return int(Path(f"/proc/{pid or 'self'}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
