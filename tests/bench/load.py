"""The load: so many requests over so many kept connections, each timed. Runs in the benchmark's own process."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httptools


@dataclass(slots=True)
class Timing:
    """Seconds of one request: to the reply's first byte, and to its last."""

    first_s: float
    whole_s: float
    events: int


@dataclass(slots=True)
class Outcome:
    """Of one run. `failed` counts replies that were not 200, or not whole."""

    elapsed_s: float = 0.0
    failed: int = 0
    timings: list[Timing] = field(default_factory=list)


class Client(asyncio.Protocol):
    """One connection, one request at a time."""

    first_at = 0.0
    events = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._done: asyncio.Future[bool] | None = None

    def connection_lost(self, error: Exception | None) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(False)

    def data_received(self, data: bytes) -> None:
        if not self.first_at:
            self.first_at = time.perf_counter()
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.events += body.count(b"data: ")

    def on_message_complete(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(self._parser.get_status_code() == 200)

    async def ask(self, request: bytes) -> bool:
        self._done = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self.first_at, self.events = 0.0, 0
        self._transport.write(request)
        return await self._done

    def close(self) -> None:
        self._transport.close()


def request_bytes(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"authorization: Bearer none\r\n\r\n" + body


async def run(port: int, request: bytes, *, count: int, concurrency: int) -> Outcome:
    """`count` requests, spread over `concurrency` connections."""
    return await each(port, itertools.repeat(request, count), concurrency=concurrency)


async def each(port: int, requests: Iterator[bytes], *, concurrency: int = 1) -> Outcome:
    """The same with requests that differ."""
    outcome = Outcome()
    loop = asyncio.get_running_loop()

    async def connection() -> None:
        _, client = await loop.create_connection(Client, "127.0.0.1", port)
        for request in requests:
            started = time.perf_counter()
            if await client.ask(request):
                now = time.perf_counter()
                outcome.timings.append(Timing(client.first_at - started, now - started, client.events))
            else:
                outcome.failed += 1
        client.close()

    started = time.perf_counter()
    await asyncio.gather(*(connection() for _ in range(concurrency)))
    outcome.elapsed_s = time.perf_counter() - started
    return outcome
