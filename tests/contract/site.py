"""A whole server whose remote providers all call one recorded upstream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.support.edge import client
from tests.support.upstream import Upstream, text
from tests.support.whole_stack import whole_stack

CHAT_PATH = "/chat/completions"
MINIMAL: Mapping[str, Mapping[str, Any]] = {
    CHAT_PATH: {"messages": [{"role": "user", "content": "Hello"}]},
    "/completions": {"prompt": "Once"},
    "/embeddings": {"input": "a text"},
}
PROVIDERS = {"openai": "remote::openai", "groq": "remote::groq", "vllm": "remote::vllm"}
EMBEDDED = "llama-cpp"
EMBEDDED_MODELS = {"/embeddings": "minilm/all-minilm-l6-v2"}


@dataclass
class Site:
    http: httpx.AsyncClient
    up: Upstream

    created: int = 1_700_000_000
    plain: dict[str, str] = field(default_factory=dict)
    """By path, what the embedded model answers to the minimal request."""

    async def ask(self, path: str, body: Mapping[str, Any], *, provider: str = "openai") -> httpx.Response:
        """POST to an operation for the provider's model of that kind; the upstream remembers this request alone.

        Each answer is a second younger than the one before, by which stored completions are listed.
        """
        self.up.reset()
        self.created += 1
        self.up.always(text("Hello from the upstream.", extra={"created": self.created}), on="/completions")
        return await self.http.post(f"/v1{path}", json={"model": model_for(path, provider), **body})

    @property
    def asked(self) -> int:
        """How many requests the upstream got, listings of its models apart."""
        return len(self._bodies)

    def sent(self) -> Any:
        """The body of the one request that the upstream got."""
        assert self.asked == 1
        return self._bodies[0]

    @property
    def _bodies(self) -> list[Any]:
        return [request.body for request in self.up.requests if request.method == "POST"]


def model_for(path: str, provider: str = "openai") -> str:
    if provider == EMBEDDED:
        return EMBEDDED_MODELS.get(path, f"{EMBEDDED}/smollm2-135m-instruct")
    return f"{provider}/{path.rpartition('/')[2]}"


@asynccontextmanager
async def open_site(directory: Path) -> AsyncIterator[Site]:
    with Upstream() as up:
        providers: list[dict[str, Any]] = [
            {"provider_id": name, "provider_type": kind, "config": {"base_url": up.base_url, "api_key": "k"}}
            for name, kind in PROVIDERS.items()
        ]
        models = [
            {
                "model_id": kind,
                "provider_id": name,
                "provider_model_id": f"{kind}-there",
                "model_type": "embedding" if kind == "embeddings" else "llm",
                "model_validation": False,
            }
            for name in PROVIDERS
            for kind in ("completions", "embeddings")
        ]
        providers.append({"provider_id": EMBEDDED, "provider_type": "inline::llama-cpp"})
        providers.append({"provider_id": "minilm", "provider_type": "inline::onnx-embeddings"})
        async with whole_stack(directory, providers, models) as server, client(server) as http:
            yield Site(http, up)
