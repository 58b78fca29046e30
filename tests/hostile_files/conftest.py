"""A file processor with small limits, so that reaching them takes little time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from llama_stack.providers.file_processors.auto import Auto
from tests.hostile_files.guard import Guard
from tests.support.file_processors import opened

MIB = 1024 * 1024


@pytest.fixture
async def guard(tmp_path: Path) -> AsyncIterator[Guard]:
    async with opened(
        Auto,
        tmp_path,
        processes_max=1,
        timeout_s=5,
        cpu_seconds_max=2,
        memory_bytes_max=256 * MIB,
        text_chars_max=2_000_000,
        unpacked_bytes_max=64 * MIB,
    ) as processor:
        yield Guard(processor)
