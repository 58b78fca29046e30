"""The HTTP edge over a real stack without providers; what answers inference is the test's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import openai

from llama_stack.config.model import RunConfig
from llama_stack.http.app import create_app
from llama_stack.services.inference import Served
from llama_stack.stack import Stack
from llama_stack_api.principal import Call
from tests.support.server import Running, running

CHAT = "/v1/chat/completions"
QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


class Answering:
    """Inference whose every method answers with `answer(params, call)`, and remembers what it was asked."""

    def __init__(self, answer: Callable[[Any, Call], Awaitable[bytes | AsyncGenerator[bytes, None]]]) -> None:
        self._answer = answer
        self.calls: list[Call] = []
        self.params: list[Any] = []

    async def _serve(self, params: Any, call: Call) -> Served:
        self.calls.append(call)
        self.params.append(params)
        return Served(await self._answer(params, call), "somewhere", params.model)

    openai_chat_completion = openai_completion = openai_embeddings = rerank = _serve


class Waiting:
    """An answer that comes when it is told to. `cancelled` is set when its call is."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, params: Any, call: Call) -> bytes:
        self.asked.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return b'{"done":true}'


async def at_once(params: Any, call: Call) -> bytes:
    return b'{"done":true}'


@asynccontextmanager
async def edge(
    directory: Path,
    answer: Callable[[Any, Call], Awaitable[Any]] = at_once,
    *,
    server: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    environ: dict[str, str] | None = None,
    uvicorn_options: dict[str, Any] | None = None,
    **changed: Any,
) -> AsyncIterator[tuple[Running, Answering]]:
    """`server` and `config` are parts of the run config; `changed` replaces services."""
    whole = RunConfig.model_validate(
        {"version": 2, "distro_name": "test", "providers": {}, "server": server or {}, **(config or {})},
        context={"environ": {"SQLITE_STORE_DIR": str(directory / "store")}, "home": directory},
    )
    inference = Answering(answer)
    async with Stack.open(whole, state_dir=directory / "state") as stack:
        services: Any = replace(stack.services, **{"inference": inference, **changed})
        app = create_app(services, whole.server, environ=environ or {})
        async with running(app, services, whole.server, **(uvicorn_options or {})) as server_:
            yield server_, inference


def client(server: Running, **options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=20, **options)


def sdk_for(server: Running) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


async def raw(server: Running, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection of its own, with `request` sent as it is."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(request)
    await writer.drain()
    return reader, writer


def post(path: str, body: bytes, *headers: str) -> bytes:
    """A request as bytes."""
    lines = [f"POST {path} HTTP/1.1", "host: test", "content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body
