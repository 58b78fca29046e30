"""Responses of every kind, left and cancelled ones too: what is left of them in the server, and in its database?"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from tests.bench import load, servers
from tests.bench.soak import SETTLE_S, hang_up, in_flight
from tests.bench.tables import table

ROUNDS = 4
ROUND = 1250
CONCURRENCY = 32
HANG_UP_WITHIN_S = 0.08


def request(model: str = "up/canned", **options: Any) -> bytes:
    body = {"model": model, "input": "Say fifty words.", **options}
    return load.request_bytes("/v1/responses", json.dumps(body, separators=(",", ":")).encode())


async def _gone(port: int, rng: random.Random, count: int) -> None:
    """Clients that leave at a random moment; stored responses go on, the others are cancelled."""
    gate = asyncio.Semaphore(CONCURRENCY)

    async def leave() -> None:
        async with gate:
            what = request("up/canned-2ms", stream=rng.random() < 0.8, store=rng.random() < 0.5)
            await hang_up(port, what, rng.random() * HANG_UP_WITHIN_S)

    await asyncio.gather(*(leave() for _ in range(count)))


async def _in_background(client: httpx.AsyncClient, count: int, *, cancelled: bool) -> int:
    """How many did not end as they should."""
    gate = asyncio.Semaphore(CONCURRENCY)
    body = {"model": "up/canned-20ms" if cancelled else "up/canned", "input": "Say fifty words.", "background": True}

    async def one() -> bool:
        async with gate:
            response = (await client.post("/responses", json=body)).json()
            if cancelled:
                response = (await client.post(f"/responses/{response['id']}/cancel")).json()
            while response.get("status") in ("queued", "in_progress"):
                await asyncio.sleep(0.05)
                response = (await client.get(f"/responses/{response['id']}")).json()
            return bool(response.get("status") == ("cancelled" if cancelled else "completed"))

    return count - sum(await asyncio.gather(*(one() for _ in range(count))))


async def _round(port: int, count: int, rng: random.Random) -> int:
    """A fifth each: stored, streamed, left, in the background, cancelled. The number of failures."""
    fifth = max(1, count // 5)
    whole = await load.run(port, request(), count=fifth, concurrency=CONCURRENCY)
    streamed = await load.run(port, request(stream=True), count=fifth, concurrency=CONCURRENCY)
    await _gone(port, rng, fifth)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/v1", timeout=60) as client:
        failed = await _in_background(client, fifth, cancelled=False)
        failed += await _in_background(client, fifth, cancelled=True)
    return whole.failed + streamed.failed + failed


async def _soak(server: servers.Server, scale: float) -> list[list[str]]:
    rng = random.Random(7)
    await _round(server.port, int(ROUND * scale), rng)
    rows, done, failed = [], 0, 0
    for _ in range(ROUNDS):
        count = int(ROUND * scale)
        failed += await _round(server.port, count, rng)
        done += count
        await asyncio.sleep(SETTLE_S)
        left = in_flight(server.port)
        rows.append([str(done), str(failed), f"{left:.0f}", str(server.open_files()), f"{server.memory_mb():.1f}"])
    return rows


def soak(scale: float) -> None:
    with servers.upstream() as upstream, servers.llama_stack(upstream) as server:
        rows = asyncio.run(_soak(server, scale))
    table("soak of responses", ["responses", "failed", "in flight", "open files", "MB"], rows)


KINDS: dict[str, dict[str, Any]] = {
    "stored, whole": {},
    "stored, streamed": {"stream": True},
}


def size(scale: float) -> None:
    """Bytes of the database for each stored response: 50 words, no tools."""
    rows = []
    for name, options in KINDS.items():
        with servers.upstream() as upstream, servers.llama_stack(upstream) as server:
            rows.append([name, f"{_grown(server, request(**options), int(1000 * scale)):,.0f}"])
    table("size of a response", ["response", "bytes in SQLite"], rows)


def _grown(server: servers.Server, what: bytes, count: int) -> float:
    assert server.state is not None
    database = server.state / "sql.db"
    before = _bytes(database)
    asyncio.run(load.run(server.port, what, count=count, concurrency=8))
    return (_bytes(database) - before) / count


def _bytes(database: Path) -> int:
    """With what is still in the write-ahead log."""
    with closing(sqlite3.connect(database)) as connection:
        (pages,), (page_bytes,) = (
            connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size")
        )
    return int(pages) * int(page_bytes)
