"""The whole server with a model behind each of the tongues that upstreams speak, and Anthropic's own client.

`chat` is a model of an OpenAI-compatible upstream, `claude` one of Anthropic's API. The web is loopback: a search
engine at `web`, which serves pages too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anthropic import AsyncAnthropic

from tests.support.anthropic_upstream import AnthropicUpstream
from tests.support.search_engines import SEARXNG
from tests.support.server import Running
from tests.support.upstream import Upstream
from tests.support.whole_stack import whole_stack


@dataclass(frozen=True)
class Messaging:
    server: Running
    client: AsyncAnthropic
    chat: Upstream
    claude: AnthropicUpstream
    web: Upstream


@asynccontextmanager
async def messaging(directory: Path, **server: Mapping[str, Any]) -> AsyncIterator[Messaging]:
    """`server` is of the run config."""
    chat, claude, web = Upstream(), AnthropicUpstream(), Upstream()
    async with chat, claude, web:
        inference = [
            _provider("openai", base_url=chat.base_url, api_key="key-of-the-upstream"),
            _provider("anthropic", base_url=claude.url, api_key="key-of-the-upstream"),
        ]
        others = {
            "tool_runtime": [_provider("searxng", base_url=web.url) | {"provider_type": SEARXNG.type}],
            "files": [{"provider_id": "localfs", "provider_type": "inline::localfs"}],
            "file_processors": [{"provider_id": "auto", "provider_type": "inline::auto"}],
        }
        models = [
            {"model_id": "chat", "provider_id": "openai", "provider_model_id": "chat-1"},
            {"model_id": "claude", "provider_id": "anthropic", "provider_model_id": "claude-1"},
        ]
        settings = {
            "egress": {"allow_private_networks": True},
            "routing": {"retries_max": 0, "breaker": {"failures": 10_000}},
            **server,
        }
        sections: dict[str, Any] = {"providers": {"inference": inference, **others}, "server": settings}
        async with (
            whole_stack(directory, [], models, **sections) as running,
            AsyncAnthropic(base_url=running.url, api_key="none", max_retries=0) as client,
        ):
            yield Messaging(running, client, chat, claude, web)


def _provider(name: str, **config: Any) -> dict[str, Any]:
    return {"provider_id": name, "provider_type": f"remote::{name}", "config": config}
