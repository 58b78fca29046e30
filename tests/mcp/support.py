"""Clients that may go to loopback, and deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from llama_stack.mcp.client import McpClients
from llama_stack.mcp.model import McpLimits, McpServer
from llama_stack.net.egress import Egress, EgressPolicy


@asynccontextmanager
async def clients(*, allow_private: bool = True, **limits: Any) -> AsyncIterator[McpClients]:
    made = McpClients(Egress(EgressPolicy(allow_private_networks=allow_private)), limits=McpLimits(**limits))
    try:
        yield made
    finally:
        await made.close()


def soon(seconds: float = 20.0) -> float:
    return asyncio.get_running_loop().time() + seconds


def at(url: str, **options: Any) -> McpServer:
    return McpServer(label="loopback", url=url, **options)


async def until(holds: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait for what another thread or process brings about."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.01)
