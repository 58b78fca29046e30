from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam

from tests.support.databases import postgres, redis
from tests.support.running import RunningServer, running
from tests.support.upstream import Upstream

__all__ = ["CHAT_MODEL", "EMBEDDING_MODEL", "HELLO", "ConfigFile", "postgres", "redis"]

CHAT_MODEL = "llama-cpp/smollm2-135m-instruct"
EMBEDDING_MODEL = "minilm/all-minilm-l6-v2"
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say hello."}]


@pytest.fixture(scope="session")
def default_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """What a newcomer gets: `llama stack run`, with nothing configured."""
    with running("--port", "0", home=tmp_path_factory.mktemp("home")) as server:
        yield server


@pytest.fixture(scope="session")
def client(default_server: RunningServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{default_server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(default_server: RunningServer) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{default_server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


ConfigFile = Callable[..., str]


@pytest.fixture
def config_file(tmp_path: Path) -> ConfigFile:
    """Writes a run config whose inference providers are upstreams by their id, and gives its path."""

    def write(upstreams: dict[str, str], **sections: Any) -> str:
        providers = [
            {"provider_id": name, "provider_type": "remote::vllm", "config": {"base_url": url}}
            for name, url in upstreams.items()
        ]
        config = {"version": 2, "distro_name": "e2e", "providers": {"inference": providers}, **sections}
        path = tmp_path / "run.yaml"
        path.write_text(yaml.safe_dump(config))
        return str(path)

    return write
