"""A server that keeps files on the local disk, and the `openai` package in front of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest

from tests.support.edge import sdk_for
from tests.support.file_servers import file_server
from tests.support.server import Running


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    async with file_server(tmp_path) as server:
        yield server


@pytest.fixture
async def sdk(server: Running) -> AsyncIterator[openai.AsyncOpenAI]:
    async with sdk_for(server) as sdk:
        yield sdk
