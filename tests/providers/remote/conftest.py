"""An upstream for all tests of this folder, and the bench of the case that a test is given."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from llama_stack.routing.catalog import Catalog
from llama_stack_api.api import Api
from llama_stack_api.provider import Descriptor
from tests.providers.remote.bench import Bench
from tests.providers.remote.cases import Case, iam_token
from tests.support.upstream import Upstream


@pytest.fixture(scope="session")
def descriptors() -> dict[str, Descriptor]:
    return {found.type: found for found in Catalog().all(Api.inference) if found.is_remote}


@pytest.fixture(scope="session")
def shared_upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def up(shared_upstream: Upstream) -> Iterator[Upstream]:
    yield shared_upstream
    shared_upstream.reset()


@pytest.fixture
async def bench(case: Case, up: Upstream, descriptors: dict[str, Descriptor], tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(case, up, descriptors[case.type], tmp_path)
    up.always(iam_token, on="/identity/token")
    yield bench
    for client in bench.clients:
        await client.aclose()
