"""HTTP servers for tests that speak an engine's own API, in the test's event loop and on a port of their own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web

REQUEST_BYTES_MAX = 32 * 1024 * 1024


@dataclass
class Loopback:
    """`url` is where it answers; `requests` are those it got, as "GET /path"."""

    url: str
    requests: list[str] = field(default_factory=list)


@contextlib.asynccontextmanager
async def serving(application: web.Application) -> AsyncIterator[Loopback]:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    loopback = Loopback(f"http://127.0.0.1:{port}")
    try:
        yield loopback
    finally:
        await runner.cleanup()
