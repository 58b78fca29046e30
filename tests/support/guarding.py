"""The whole server with shields of `word_shields`, over a scripted upstream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.edge import client, sdk_for
from tests.support.responding import MODEL, Responding
from tests.support.upstream import Upstream
from tests.support.whole_stack import whole_stack

MODULE = "tests.support.word_shields"
SHIELDS = [
    {"shield_id": "words", "provider_id": "words", "params": {"words": ["bomb", "poison"]}},
    {"shield_id": "remark", "provider_id": "words", "params": {"words": ["bomb"], "level": "warn"}},
    {"shield_id": "plain", "provider_id": "plain"},
    {"shield_id": "scores", "provider_id": "scores", "provider_shield_id": "vendor/scores-1"},
    {"shield_id": "asking", "provider_id": "asking", "provider_shield_id": MODEL},
]


def safety(provider_id: str) -> dict[str, Any]:
    return {"provider_id": provider_id, "provider_type": f"inline::{provider_id}", "module": MODULE}


SAFETY = [safety(each) for each in ("words", "plain", "scores", "asking")]


@asynccontextmanager
async def guarding(directory: Path, **sections: Mapping[str, Any]) -> AsyncIterator[Responding]:
    async with Upstream() as upstream:
        inference = {"provider_id": "up", "provider_type": "remote::vllm", "config": {"base_url": upstream.base_url}}
        models = [{"model_id": MODEL, "provider_id": "up"}]
        vectors = {"model_id": "e", "provider_id": "up", "model_type": "embedding"}
        vectors["metadata"] = {"embedding_dimension": 8}  # type: ignore[assignment]
        providers = {"inference": [inference], "safety": SAFETY}
        resources = {"models": [*models, vectors], "shields": SHIELDS}
        async with (
            whole_stack(directory, [], [], providers=providers, registered_resources=resources, **sections) as server,
            client(server) as http,
            sdk_for(server) as openai,
        ):
            await upstream.wait_requests(1)  # for its models
            upstream.requests.clear()
            yield Responding(upstream, server, http, openai)


def guards(*apis: str, shield: str = "words", check: tuple[str, ...] = ("input", "output")) -> dict[str, Any]:
    """The section `safety`, with one guard."""
    return {"guards": [{"shields": [shield], "apis": list(apis), "check": list(check)}]}
