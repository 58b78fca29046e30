from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from llama_stack.cli.runner import protocol
from llama_stack.cli.runner.protocol import bounded_protocol

pytestmark = pytest.mark.anyio

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n"


async def answer(scope: Any, receive: Any, send: Any) -> None:
    received = await receive()
    assert received["type"] == "http.request"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def connection(header_bytes_max: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    config = uvicorn.Config(answer, http=bounded_protocol(header_bytes_max), ws="none", lifespan="off", log_config=None)
    config.load()
    state = ServerState()
    make = config.http_protocol_class
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: make(config=config, server_state=state, app_state={}), "127.0.0.1", 0)  # type: ignore[call-arg]
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            yield reader, writer
        finally:
            writer.close()
            await writer.wait_closed()


async def test_requests_within_the_limit_share_a_connection() -> None:
    async with connection(1000) as (reader, writer):
        for _ in range(5):
            writer.write(REQUEST + b"a: " + b"x" * 800 + b"\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(2) == b"ok"


async def test_a_large_body_is_no_header() -> None:
    async with connection(1000) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5000\r\n\r\n" + b"x" * 5000)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("piece", [b"a: " + b"x" * 2000, b"a: b\r\n" * 400, b"a: " + b"x" * 2000 + b"\r\n\r\n"])
async def test_larger_headers_are_refused_with_the_setting(piece: bytes) -> None:
    async with connection(1000) as (reader, writer):
        writer.write(REQUEST + piece)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 431")
        error = json.loads(body)["error"]
        assert error["code"] == "headers_too_large"
        assert "server.limits.header_bytes_max" in error["message"]


@pytest.mark.parametrize("begun", [b"", REQUEST])
async def test_a_head_that_never_ends_is_given_up(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", 0.05)
    async with connection(1000) as (reader, writer):
        writer.write(begun)
        assert await asyncio.wait_for(reader.read(), 5) == b""


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", "method"),
        (b"good morning\r\n\r\n", "method"),
        (b"FETCH / HTTP/1.1\r\nhost: x\r\n\r\n", "method"),
        (b"GET / HTTP/3.7\r\nhost: x\r\n\r\n", "version"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: many\r\n\r\n", "Content-Length"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n", "Transfer-Encoding"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nmany\r\n", "chunk"),
        (b"GET http://[ HTTP/1.1\r\nhost: x\r\n\r\n", ""),
    ],
)
async def test_what_is_not_http_is_told_so_in_json(request_: bytes, reason: str) -> None:
    async with connection(1000) as (reader, writer):
        writer.write(request_)
        head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert b"content-type: application/json" in head
        error = json.loads(body)["error"]
        assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, "invalid_http")
        assert reason in error["message"]


async def test_a_reply_is_whole_before_garbage_behind_its_request_ends_the_connection() -> None:
    async with connection(1000) as (reader, writer):
        writer.write(REQUEST + b"\r\n" + b"good morning\r\n\r\n")
        said = await asyncio.wait_for(reader.read(), 5)
        assert said.startswith(b"HTTP/1.1 200")
        assert said.endswith(b"ok")
        assert said.count(b"HTTP/1.1") == 1
