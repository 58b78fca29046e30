"""Safety providers opened by their descriptors, with a shield `mine` registered; and what they are asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from llama_stack.net.client import NetClient
from llama_stack.routing.catalog import Catalog
from llama_stack.storage.kv.memory import MemoryKV
from llama_stack_api.api import Api
from llama_stack_api.openai.moderations import CreateModerationRequest
from llama_stack_api.provider import ProviderContext
from llama_stack_api.safety import RunShieldRequest
from llama_stack_api.shields import Shield

SHIELD: Final = "mine"


@asynccontextmanager
async def opened_shield(
    provider_type: str,
    state_dir: Path,
    *,
    resource: str = "the-model",
    params: dict[str, Any] | None = None,
    deps: Mapping[Api, Any] | None = None,
    **config: Any,
) -> AsyncIterator[Any]:
    """A provider whose shield stands for `resource` there."""
    clients: list[NetClient] = []

    def client(network: Any) -> NetClient:
        clients.append(NetClient(network, name="safe"))
        return clients[-1]

    (descriptor,) = (each for each in Catalog(entry_points=tuple).all(Api.safety) if each.type == provider_type)
    context = ProviderContext("safe", provider_type, state_dir, client, MemoryKV().bind("default", "safe"), deps or {})
    provider = descriptor.create(descriptor.config.model_validate(config), context)
    if hasattr(provider, "open"):
        await provider.open()
    await provider.register_shield(
        Shield(identifier=SHIELD, provider_id="safe", provider_resource_id=resource, params=params)
    )
    try:
        yield provider
    finally:
        if hasattr(provider, "close"):
            await provider.close()
        for each in clients:
            await each.aclose()


def shown(*messages: Any) -> RunShieldRequest:
    """A run of the shield; a text is a user's message."""
    said = [{"role": "user", "content": each} if isinstance(each, str) else each for each in messages]
    return RunShieldRequest.model_validate({"shield_id": SHIELD, "messages": said})


def moderated(given: Any) -> CreateModerationRequest:
    return CreateModerationRequest.model_validate({"model": SHIELD, "input": given})
