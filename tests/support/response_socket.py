"""Responses over a WebSocket, as a plain client speaks it: JSON out, JSON in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.support.responding import MODEL, RESPONSES, Responding

WAIT_S = 10.0
LAST = frozenset({"response.completed", "response.incomplete", "response.failed", "error"})


@asynccontextmanager
async def socket(up: Responding, path: str = RESPONSES, **headers: str) -> AsyncIterator[ClientConnection]:
    url = f"ws://{up.server.host}:{up.server.port}{path}"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with connect(url, additional_headers=named, proxy=None) as connection:
        yield connection


async def ask(connection: ClientConnection, **fields: Any) -> list[dict[str, Any]]:
    await connection.send(json.dumps({"type": "response.create", "model": MODEL, "store": False, **fields}))
    return await answer(connection)


async def answer(connection: ClientConnection) -> list[dict[str, Any]]:
    """The events of one response, to its end."""
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(WAIT_S):
        while not events or events[-1]["type"] not in LAST:
            events.append(json.loads(await connection.recv()))
    return events
