"""Ten thousand requests, streams and hang-ups: what is left of them in the server's process?"""

from __future__ import annotations

import asyncio
import json
import random
import urllib.request

from tests.bench import load, servers

SETTLE_S = 2.0
MODELS = {False: "up/canned", True: "up/canned-2ms"}


def _request(stream: bool) -> bytes:
    body = {"model": MODELS[stream], "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    return load.request_bytes("/v1/chat/completions", json.dumps(body, separators=(",", ":")).encode())


async def hang_up(port: int, request: bytes, after_s: float) -> None:
    """Ask, and be gone before the answer is complete."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await asyncio.sleep(after_s)
    writer.transport.abort()


async def _round(port: int, count: int, rng: random.Random) -> int:
    """A third plain, a third streamed, a third hung up on. The number of failures."""
    third = max(1, count // 3)
    plain = await load.run(port, _request(False), count=third, concurrency=32)
    streamed = await load.run(port, _request(True), count=third, concurrency=64)
    gate = asyncio.Semaphore(64)

    async def gone() -> None:
        async with gate:
            await hang_up(port, _request(rng.random() < 0.8), rng.random() * 0.08)

    await asyncio.gather(*(gone() for _ in range(third)))
    return plain.failed + streamed.failed


def in_flight(port: int) -> float:
    """What the server itself says of requests in flight, as of its last tick."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
        for line in reply.read().decode().splitlines():
            if line.startswith("llama_stack_concurrent_requests"):
                return float(line.rpartition(" ")[2])
    raise RuntimeError("/metrics does not say how many requests are in flight")


async def _soak(server: servers.Server, scale: float) -> None:
    rng = random.Random(7)
    await _round(server.port, int(1500 * scale), rng)
    await asyncio.sleep(SETTLE_S)
    print("\n### soak\n\n| requests | failed | in flight | open files | MB |\n|---|---|---|---|---|")
    done = failed = 0
    for _ in range(4):
        count = int(2500 * scale)
        failed += await _round(server.port, count, rng)
        done += count
        await asyncio.sleep(SETTLE_S)
        left = in_flight(server.port)
        print(f"| {done} | {failed} | {left:.0f} | {server.open_files()} | {server.memory_mb():.1f} |", flush=True)


def soak(scale: float) -> None:
    with servers.upstream() as upstream, servers.llama_stack(upstream) as server:
        asyncio.run(_soak(server, scale))
