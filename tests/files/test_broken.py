"""Clients that break off, stall or send half of a form: they are told, and nothing of it is left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.edge import client, raw, sdk_for
from tests.support.file_servers import contents, file_server, rows
from tests.support.server import Running

pytestmark = pytest.mark.anyio

PURPOSE = b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nvision\r\n'
FILE = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
HALF = b"x" * 2_500_000
END = b"\r\n--b--\r\n"
TYPE = "multipart/form-data; boundary=b"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    async with file_server(tmp_path) as server:
        yield server


def request(body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    head = f"POST /v1/files HTTP/1.1\r\nhost: test\r\ncontent-type: {TYPE}\r\ncontent-length: {size}\r\n\r\n"
    return head.encode() + body


async def ready(server: Running) -> None:
    """The routes are built at the first request, which takes longer than these time limits."""
    async with client(server) as http:
        assert (await http.get("/v1/files")).status_code == 200


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await holds():
            await asyncio.sleep(0.01)


HALVES: list[tuple[bytes, str | None]] = [
    (PURPOSE + FILE + HALF, "file"),
    (FILE + HALF, "file"),
    (PURPOSE + FILE + HALF + b"\r\n--b", "file"),
    (PURPOSE + FILE + HALF + b"\r\n" + PURPOSE.replace(b"purpose", b"more")[:-3], "more"),
    (PURPOSE + FILE + HALF + b"\r\n--b\r\nno header\r\n\r\n", None),
    (PURPOSE[:30], None),
    (b"", None),
]


async def test_half_a_form_is_refused(server: Running, tmp_path: Path) -> None:
    async with client(server) as http:
        for body, param in HALVES:
            reply = await http.post("/v1/files", content=body, headers={"content-type": TYPE})
            error = reply.json()["error"]
            assert (reply.status_code, error["code"], error["param"]) == (400, "invalid_multipart", param)
            assert contents(tmp_path) == []
            assert await rows(server) == {}
        assert (await http.get("/v1/files")).json()["data"] == []


@pytest.mark.parametrize("before", [PURPOSE + FILE, FILE])
async def test_of_a_hang_up_nothing_is_left(server: Running, tmp_path: Path, before: bytes) -> None:
    _, writer = await raw(server, request(before + HALF, length=10_000_000))

    async def arrived() -> bool:
        return sum(map(len, contents(tmp_path))) > 0

    await until(arrived)
    writer.transport.abort()

    async def nothing_is_left() -> bool:
        return contents(tmp_path) == [] and await rows(server) == {}

    await until(nothing_is_left)


async def test_a_body_that_stands_still_ends(tmp_path: Path) -> None:
    async with file_server(tmp_path, limits={"body_timeout_s": 2}) as server:
        await ready(server)
        reader, writer = await raw(server, request(PURPOSE + FILE + HALF, length=10_000_000))
        reply = await reader.readuntil(b"}}")
        assert reply.startswith(b"HTTP/1.1 408 ")
        assert b"stood still for 2 seconds" in reply
        writer.close()
        assert contents(tmp_path) == []
        assert await rows(server) == {}


async def test_a_body_may_be_slow_and_has_a_time_as_a_whole(tmp_path: Path) -> None:
    """It moves on, so it is not ended after a second; but it does not come to its end."""
    async with file_server(tmp_path, {"upload_timeout_s": 3}, {"body_timeout_s": 1.5}) as server:
        await ready(server)
        begun = time.monotonic()
        reader, writer = await raw(server, request(PURPOSE + FILE, length=10_000_000))
        reply = asyncio.create_task(reader.readuntil(b"}}"))
        while not reply.done():
            writer.write(b"x")
            await asyncio.sleep(0.05)
        assert reply.result().startswith(b"HTTP/1.1 408 ")
        assert b"server.files.upload_timeout_s" in reply.result()
        assert time.monotonic() - begun > 2.5
        writer.close()


async def test_a_reader_that_goes_away_stops_the_reading(server: Running) -> None:
    async with sdk_for(server) as sdk:
        made = await sdk.files.create(file=("a", b"x" * 30_000_000), purpose="vision")
        reader, writer = await raw(server, f"GET /v1/files/{made.id}/content HTTP/1.1\r\nhost: test\r\n\r\n".encode())
        assert b"content-length: 30000000" in await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(1000)
        assert len(server.edge.admission.running) == 1
        writer.transport.abort()

        async def stopped() -> bool:
            return not server.edge.admission.running

        await until(stopped)
        assert (await sdk.files.delete(made.id)).deleted
