"""The whole server over a scripted upstream, and the `openai` client that talks Responses with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from openai import AsyncOpenAI

from tests.support.edge import client, sdk_for
from tests.support.server import Running
from tests.support.upstream import Upstream
from tests.support.whole_stack import whole_stack

MODEL = "m"
RESPONSES = "/v1/responses"


@dataclass(frozen=True, slots=True)
class Responding:
    """`upstream` is asked what `MODEL` says."""

    upstream: Upstream
    server: Running
    http: httpx.AsyncClient
    openai: AsyncOpenAI

    def asked(self, number: int = -1) -> list[dict[str, Any]]:
        """The messages of a request that the model got."""
        messages: list[dict[str, Any]] = self.upstream.requests[number].body["messages"]
        return messages

    def said(self, number: int = -1) -> list[tuple[str, str]]:
        """Them, as roles and plain text."""
        return [(message["role"], _text(message.get("content"))) for message in self.asked(number)]


@asynccontextmanager
async def responding(directory: Path, **sections: Mapping[str, Any]) -> AsyncIterator[Responding]:
    async with Upstream() as upstream:
        providers = [{"provider_id": "up", "provider_type": "remote::vllm", "config": {"base_url": upstream.base_url}}]
        models = [{"model_id": MODEL, "provider_id": "up"}]
        async with (
            whole_stack(directory, providers, models, **sections) as server,
            client(server) as http,
            sdk_for(server) as openai,
        ):
            await upstream.wait_requests(1)  # for its models
            upstream.requests.clear()
            yield Responding(upstream, server, http, openai)


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", f"<{part['type']}>") for part in content)
    return content or ""
