from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.messaging import Messaging, messaging


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Messaging]:
    async with messaging(tmp_path_factory.mktemp("messages")) as served:
        yield served


@pytest.fixture
def served(server: Messaging) -> Messaging:
    """The same server for all tests of a file; its upstreams begin anew with each."""
    for upstream in (server.chat, server.claude, server.web):
        upstream.reset()
    return server
