"""An ASGI application on uvicorn, on a free port of loopback, in the test's own event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import uvicorn

from llama_stack.config.server import ServerConfig
from llama_stack.http.app import Edge
from llama_stack.http.serving import DrainingServer, serving
from llama_stack.stack import Services


@dataclass(frozen=True)
class Running:
    edge: Edge
    services: Services
    server: _Server
    scheme: str
    host: str
    port: int

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    def stop(self) -> None:
        """Begin to shut down, as a signal does."""
        self.server.stop.set()


class _Server(DrainingServer):
    """Leaves the test runner's signal handlers alone, says when it listens, and need not be polled to stop."""

    def __init__(self, config: uvicorn.Config, edge: Edge, grace_s: float) -> None:
        super().__init__(config, edge, grace_s)
        self.listening = asyncio.Event()
        self.stop = asyncio.Event()

    def capture_signals(self) -> Any:
        return nullcontext()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.stop.wait()


@asynccontextmanager
async def running(edge: Edge, services: Services, config: ServerConfig, **options: Any) -> AsyncIterator[Running]:
    """Serve until the block ends; it ends in a shutdown that drains."""
    made = serving(edge, config.model_copy(update={"port": 0}), **options)
    server = _Server(made.config, edge, config.shutdown_grace_s)
    task = asyncio.create_task(server.serve())
    listening = asyncio.create_task(server.listening.wait())
    await asyncio.wait({task, listening}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        listening.cancel()
        task.result()
        raise RuntimeError("the server did not start")
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    try:
        yield Running(edge, services, server, config.scheme, host, port)
    finally:
        server.stop.set()
        await task
