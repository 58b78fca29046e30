"""Request bodies that are sent as they come, against a real server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from llama_stack.net.client import NetClient
from llama_stack.net.config import NetworkConfig, TimeoutConfig
from llama_stack_api.errors import ProviderTimeout, ProviderUnreachable

pytestmark = pytest.mark.anyio
PIECE = b"x" * 65_536


@dataclass
class Sink:
    """Takes what is posted. `/refuse` answers without reading it, `/deaf` never reads nor answers."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    lengths: list[str | None] = field(default_factory=list)
    broken: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        self.lengths.append(request.headers.get("Content-Length"))
        try:
            self.bodies.append(await request.read())
        except (Exception, asyncio.CancelledError):
            self.broken.set()
            raise
        return web.Response(text="taken")

    async def refuse(self, request: web.Request) -> web.Response:
        return web.Response(status=401, text="no", headers={"Connection": "close"})

    async def deaf(self, request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError


@asynccontextmanager
async def sink() -> AsyncIterator[Sink]:
    it = Sink()
    app = web.Application(client_max_size=1 << 40)
    for name in ("take", "refuse", "deaf"):
        app.router.add_post(f"/{name}", getattr(it, name))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        it.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield it
    finally:
        await runner.cleanup()


@asynccontextmanager
async def client(read_s: float = 5.0) -> AsyncIterator[NetClient]:
    one = NetClient(NetworkConfig(timeout=TimeoutConfig(read=read_s)), name="up")
    try:
        yield one
    finally:
        await one.aclose()


async def pieces(count: int) -> AsyncGenerator[bytes]:
    for _ in range(count):
        yield PIECE


@pytest.mark.parametrize("known", [True, False])
async def test_a_body_goes_in_chunks_or_with_its_length(known: bool) -> None:
    async with sink() as server, client() as one:
        headers = {"Content-Length": str(3 * len(PIECE))} if known else {}
        for _ in range(2):
            reply = await one.send("POST", f"{server.url}/take", headers=headers, body=pieces(3))
            assert (reply.status, await reply.read()) == (200, b"taken")
        assert server.bodies == [PIECE * 3] * 2
        assert server.lengths == [headers.get("Content-Length")] * 2


async def test_an_empty_body() -> None:
    async with sink() as server, client() as one:
        await (await one.send("POST", f"{server.url}/take", body=pieces(0))).read()
        assert server.bodies == [b""]


async def test_what_the_body_raises_is_raised_and_cuts_the_request() -> None:
    class GoneAway(Exception):
        pass

    async def failing() -> AsyncIterator[bytes]:
        yield PIECE
        raise GoneAway

    async with sink() as server, client() as one:
        with pytest.raises(GoneAway):
            await one.send("POST", f"{server.url}/take", body=failing())
        await asyncio.wait_for(server.broken.wait(), 5)
        assert server.bodies == []


async def test_when_it_is_cancelled_nobody_is_in_the_body_any_more() -> None:
    waiting, closed = asyncio.Event(), False

    async def endless() -> AsyncGenerator[bytes]:
        nonlocal closed
        try:
            yield PIECE
            waiting.set()
            await asyncio.Event().wait()
        finally:
            closed = True

    async with sink() as server, client() as one:
        task = asyncio.create_task(one.send("POST", f"{server.url}/take", body=endless()))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert closed
        await asyncio.wait_for(server.broken.wait(), 5)


async def test_a_refusal_comes_before_the_end_of_the_body() -> None:
    async def slow() -> AsyncGenerator[bytes]:
        yield PIECE
        await asyncio.Event().wait()

    async with sink() as server, client() as one:
        body = slow()
        reply = await one.send("POST", f"{server.url}/refuse", body=body)
        assert (reply.status, await reply.read()) == (401, b"no")
        await body.aclose()  # which fails while somebody is still in it


async def test_a_server_that_takes_nothing_is_not_waited_for() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield PIECE

    async with sink() as server, client(read_s=0.2) as one:
        with pytest.raises(ProviderTimeout, match="stopped taking"):
            await one.send("POST", f"{server.url}/deaf", body=endless())


async def test_a_slow_body_is_not_the_servers_fault() -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield PIECE
        await asyncio.sleep(0.6)
        yield PIECE

    async with sink() as server, client(read_s=0.3) as one:
        await (await one.send("POST", f"{server.url}/take", body=slow())).read()
        assert server.bodies == [PIECE * 2]


async def test_a_deadline_ends_an_upload() -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield PIECE
        await asyncio.Event().wait()

    async with sink() as server, client() as one:
        soon = asyncio.get_running_loop().time() + 0.05
        with pytest.raises(ProviderTimeout):
            await one.send("POST", f"{server.url}/take", body=endless(), deadline=soon)


async def test_nobody_listens() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        async with client() as one:
            with pytest.raises(ProviderUnreachable):
                await one.send("POST", f"http://127.0.0.1:{reserved.getsockname()[1]}/", body=pieces(1))
