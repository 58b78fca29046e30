"""Every test of this folder that asks for `site` runs once for each engine. One provider serves all of them, each on
indexes of its own, so the tests do not see one another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.providers.vector_io import inside, outside
from tests.providers.vector_io.suite import Engine, Site
from tests.support.databases import database, postgres

__all__ = ["database", "postgres"]


@pytest.fixture(scope="session", params=[*inside.ENGINES, *outside.ENGINES], ids=lambda engine: engine.name)
async def site(
    request: pytest.FixtureRequest, anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    engine: Engine = request.param
    if (reason := engine.absent()) is not None:
        pytest.skip(f"{engine.name} is NOT tested here: {reason}")
    directory: Path = tmp_path_factory.mktemp("vector_io")
    async with engine.opened(directory, request) as provider:
        yield Site(engine, provider)
