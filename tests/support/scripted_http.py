"""An HTTP client whose replies are given beforehand: for upstreams that no loopback server would play."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from llama_stack.routing.catalog import Catalog
from llama_stack.storage.kv.memory import MemoryKV
from llama_stack_api.api import Api
from llama_stack_api.errors import LlamaStackError
from llama_stack_api.ports.http import HttpReply
from llama_stack_api.provider import ProviderContext


@dataclass
class ScriptedReply:
    """A `ports.http.HttpReply`; its body comes in `pieces`."""

    pieces: Sequence[bytes]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    async def read(self, bytes_max: int | None = None) -> bytes:
        return b"".join(self.pieces)

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece

    async def aclose(self) -> None:
        """Nothing is open."""


@dataclass
class Sent:
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class ScriptedHttp:
    """A `ports.http.HttpClient` that answers with `reply`, or as `by_path` says where an address contains a key."""

    reply: ScriptedReply = field(default_factory=lambda: ScriptedReply([b"{}"]))
    by_path: dict[str, ScriptedReply | LlamaStackError] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | AsyncIterator[bytes] | None = None,
        deadline: float | None = None,
    ) -> HttpReply:
        assert body is None or isinstance(body, bytes)
        self.sent.append(Sent(method, url, dict(headers or {}), body or b""))
        answer = next((answer for part, answer in self.by_path.items() if part in url), self.reply)
        if isinstance(answer, LlamaStackError):
            raise answer
        return answer

    async def aclose(self) -> None:
        """Nothing is open."""


def scripted(provider_type: str, http: ScriptedHttp, state_dir: Path, **config: Any) -> Any:
    """A provider of inference that is called `mine`, with nothing but this client."""
    descriptor = Catalog().find(Api.inference, provider_type, None)
    kv = MemoryKV().bind("default", "mine")
    context = ProviderContext("mine", provider_type, state_dir, lambda _: http, kv)
    return descriptor.create(descriptor.config.model_validate(config), context)


def json_reply(value: Any, status: int = 200) -> ScriptedReply:
    return ScriptedReply([msgspec.json.encode(value)], status, {"Content-Type": "application/json"})
