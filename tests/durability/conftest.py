from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.durability.script import model
from tests.support.databases import postgres
from tests.support.knowledge import embedding_words
from tests.support.mcp_server import LoopbackMcp
from tests.support.upstream import Upstream, models

__all__ = ["postgres"]


@pytest.fixture(scope="package")
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        upstream.always(model, on="/chat/completions")
        upstream.always(models("agent", "caller"), on="/models")
        yield upstream


@pytest.fixture
def mcp() -> Iterator[LoopbackMcp]:
    with LoopbackMcp() as mcp:
        yield mcp


@pytest.fixture(scope="module")
def embedder() -> Iterator[Upstream]:
    with Upstream() as upstream:
        upstream.always(embedding_words, on="/embeddings")
        yield upstream
