"""The files providers, each opened against something real, and a way to look behind them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from llama_stack.net.client import NetClient
from llama_stack.routing.catalog import Catalog
from llama_stack.storage.kv.memory import MemoryKV
from llama_stack_api.api import Api
from llama_stack_api.ports.files import KeptContent, NewContent
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext
from tests.support.openai_files import KEY, OpenAIFilesServer

CALL = Call()
CREDENTIALS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "not-a-real-secret"}
_numbers = itertools.count(1)


@dataclass
class Place:
    """`left` lists whatever is kept behind the provider, finished or not."""

    provider: Any
    left: Callable[[], list[str]]
    extra: dict[str, Any] = field(default_factory=dict)

    async def put(self, *body: bytes, tenant: str = "t", **more: Any) -> KeptContent:
        return await self.send(stream(*body), tenant=tenant, **more)

    async def send(self, body: AsyncIterator[bytes], *, tenant: str = "t", **more: Any) -> KeptContent:
        kept = await self.provider.write_content(new(tenant, **more), body, CALL)
        assert isinstance(kept, KeptContent)
        return kept

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        return b"".join([data async for data in self.provider.read_content(key, CALL, start=start, end=end)])


def new(tenant: str = "t", **more: Any) -> NewContent:
    return NewContent(
        **{"id": f"file-{uuid4().hex}", "tenant": tenant, "filename": "a.txt", "purpose": "user_data"} | more
    )


async def stream(*body: bytes) -> AsyncIterator[bytes]:
    for data in body:
        yield data


@asynccontextmanager
async def opened(provider_type: str, state_dir: Path, **config: Any) -> AsyncIterator[Any]:
    clients: list[NetClient] = []

    def client(network: Any) -> NetClient:
        clients.append(NetClient(network, name="mine"))
        return clients[-1]

    descriptor = Catalog(entry_points=tuple).find(Api.files, provider_type)
    context = ProviderContext("mine", provider_type, state_dir, http=client, kv=MemoryKV().bind("default", "mine"))
    provider = descriptor.create(descriptor.config.model_validate(config), context)
    if hasattr(provider, "open"):
        await provider.open()
    try:
        yield provider
    finally:
        if hasattr(provider, "close"):
            await provider.close()
        for one in clients:
            await one.aclose()


@asynccontextmanager
async def localfs(directory: Path) -> AsyncIterator[Place]:
    async with opened("inline::localfs", directory) as provider:
        yield Place(provider, lambda: files_in(directory))


@asynccontextmanager
async def s3(directory: Path, url: str) -> AsyncIterator[Place]:
    bucket = f"bucket-{next(_numbers)}"
    config = {"bucket_name": bucket, "endpoint_url": url, "key_prefix": "stack/", "auto_create_bucket": True}
    async with opened("remote::s3", directory, **CREDENTIALS, **config) as provider:
        assert (await provider.health()).status == "OK"
        client = provider._client()
        yield Place(provider, lambda: objects_in(client, bucket), {"client": client, "bucket": bucket})


@asynccontextmanager
async def openai(directory: Path, server: OpenAIFilesServer) -> AsyncIterator[Place]:
    async with opened("remote::openai", directory, base_url=server.base_url, api_key=KEY) as provider:
        yield Place(provider, lambda: list(server.files), {"server": server})


def files_in(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def objects_in(client: Any, bucket: str) -> list[str]:
    def names(reply: Any, member: str) -> Iterable[str]:
        return [one["Key"] for one in reply.get(member, ())]

    kept = names(client.list_objects_v2(Bucket=bucket), "Contents")
    return [*kept, *names(client.list_multipart_uploads(Bucket=bucket), "Uploads")]
