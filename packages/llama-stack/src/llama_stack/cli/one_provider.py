"""One provider of a run config, made as the server makes it, for a command that asks it something."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from llama_stack.config.model import ProviderEntry
from llama_stack.net.client import NetClient
from llama_stack.net.config import NetworkConfig
from llama_stack.storage.kv.memory import MemoryKV
from llama_stack_api.ports.http import HttpClient
from llama_stack_api.provider import Descriptor, ProviderContext


@asynccontextmanager
async def created(
    entry: ProviderEntry,
    descriptor: Descriptor,
    config: BaseModel,
    seen: Callable[[NetClient], HttpClient] = lambda client: client,
) -> AsyncIterator[Any]:
    """The provider, not opened: what it would do at a start is for its caller to say. Nothing that it keeps stays.

    `seen` may stand between the provider and each HTTP client that it asks for.
    """
    async with AsyncExitStack() as exits:
        directory = exits.enter_context(tempfile.TemporaryDirectory(prefix="llama-stack-"))

        def http(network: BaseModel | None) -> HttpClient:
            settings = NetworkConfig.model_validate(network.model_dump()) if network is not None else None
            client = NetClient(settings, name=entry.provider_id)
            exits.push_async_callback(client.aclose)
            return seen(client)

        kv = MemoryKV().bind("command", entry.provider_id)
        context = ProviderContext(entry.provider_id, entry.provider_type, Path(directory), http, kv)
        yield descriptor.create(config, context)
