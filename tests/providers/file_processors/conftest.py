"""Our file processor, opened: its processes live as long as a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from llama_stack.providers.file_processors.auto import Auto
from tests.support.file_processors import Processor, opened


@pytest.fixture
async def auto(tmp_path: Path) -> AsyncIterator[Processor]:
    async with opened(Auto, tmp_path) as processor:
        yield processor
