"""A server with files, over a scripted upstream, for batches by the `openai` client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from openai import AsyncOpenAI
from openai.types import Batch

from tests.support.edge import sdk_for
from tests.support.server import Running
from tests.support.upstream import Upstream
from tests.support.whole_stack import whole_stack

MODEL = "m"
CHAT: Final = "/v1/chat/completions"
ENDED = ("completed", "failed", "expired", "cancelled")
WAIT_S = 20.0


def chat_line(custom_id: str, text: str = "Hi", url: str = CHAT, **body: Any) -> dict[str, Any]:
    request = {"model": MODEL, "messages": [{"role": "user", "content": text}], **body}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": request}


def jsonl(lines: Sequence[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def parsed(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.splitlines()]


@dataclass(frozen=True, slots=True)
class Batching:
    upstream: Upstream
    server: Running
    openai: AsyncOpenAI

    async def upload(self, content: bytes, purpose: Any = "batch") -> str:
        return (await self.openai.files.create(file=("in.jsonl", content), purpose=purpose)).id

    async def create(self, content: bytes, endpoint: Any = CHAT, **more: Any) -> Batch:
        input_file_id = await self.upload(content)
        return await self.openai.batches.create(
            input_file_id=input_file_id, endpoint=endpoint, completion_window="24h", **more
        )

    async def until(self, batch_id: str, *statuses: str) -> Batch:
        """The batch, as soon as it is in one of these states; without any, once it has ended."""
        async with asyncio.timeout(WAIT_S):
            while (batch := await self.openai.batches.retrieve(batch_id)).status not in (statuses or ENDED):
                await asyncio.sleep(0.02)
        return batch

    async def done(self, content: bytes, endpoint: Any = CHAT, **more: Any) -> Batch:
        return await self.until((await self.create(content, endpoint, **more)).id)

    async def lines(self, file_id: str | None) -> list[dict[str, Any]]:
        if file_id is None:
            return []
        return parsed((await self.openai.files.content(file_id)).content)


@asynccontextmanager
async def batching(directory: Path, **sections: Any) -> AsyncIterator[Batching]:
    async with Upstream() as upstream:
        inference = [{"provider_id": "up", "provider_type": "remote::vllm", "config": {"base_url": upstream.base_url}}]
        files = [
            {
                "provider_id": "files",
                "provider_type": "inline::localfs",
                "config": {"storage_dir": str(directory / "files")},
            }
        ]
        models = [
            {"model_id": MODEL, "provider_id": "up"},
            {"model_id": "e", "provider_id": "up", "model_type": "embedding"},
        ]
        safety = [{"provider_id": "pii", "provider_type": "inline::pii"}]
        said: dict[str, Any] = {
            "providers": {"inference": inference, "files": files, "safety": safety},
            "registered_resources": {"models": models, "shields": [{"shield_id": "pii", "provider_id": "pii"}]},
            **sections,
        }
        async with whole_stack(directory, inference, models, **said) as server, sdk_for(server) as openai:
            await upstream.wait_requests(1)  # for its models
            upstream.requests.clear()
            yield Batching(upstream, server, openai)
