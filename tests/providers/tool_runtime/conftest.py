"""Providers opened by their descriptors, against engines on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from llama_stack.net.client import NetClient
from llama_stack.routing.catalog import Catalog
from llama_stack.storage.kv.memory import MemoryKV
from llama_stack_api.api import Api
from llama_stack_api.provider import Descriptor, ProviderContext
from tests.support.search_engines import KEY, Engine
from tests.support.upstream import Upstream


@pytest.fixture(scope="session")
def descriptors() -> dict[str, Descriptor]:
    return {found.type: found for found in Catalog(entry_points=tuple).all(Api.tool_runtime)}


@pytest.fixture(scope="session")
def shared_upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def up(shared_upstream: Upstream) -> Iterator[Upstream]:
    yield shared_upstream
    shared_upstream.reset()


@dataclass
class Opening:
    """Opens providers, and closes the clients that they asked for."""

    up: Upstream
    descriptors: dict[str, Descriptor]
    state_dir: Path
    clients: list[NetClient] = field(default_factory=list)

    def engine(self, engine: Engine, **config: Any) -> Any:
        """With the test's key unless `api_key` says otherwise."""
        key = {"api_key": KEY} if engine.data_key is not None else {}
        return self.type(engine.type, **{"base_url": self.up.url + engine.root, **key, **config})

    def type(self, provider_type: str, deps: dict[Api, Any] | None = None, **config: Any) -> Any:
        descriptor = self.descriptors[provider_type]
        context = ProviderContext(
            provider_id="mine",
            provider_type=provider_type,
            state_dir=self.state_dir,
            http=self._client,
            kv=MemoryKV().bind("default", "mine"),
            deps=deps or {},
        )
        return descriptor.create(descriptor.config.model_validate(config), context)

    def _client(self, network: Any) -> NetClient:
        client = NetClient(network, name="mine")
        self.clients.append(client)
        return client


@pytest.fixture
async def opening(up: Upstream, descriptors: dict[str, Descriptor], tmp_path: Path) -> AsyncIterator[Opening]:
    opening = Opening(up, descriptors, tmp_path)
    yield opening
    for client in opening.clients:
        await client.aclose()
