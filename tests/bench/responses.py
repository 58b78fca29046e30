"""What durability costs: responses with and without `store`, on SQLite and PostgreSQL, and turns of a growing chain."""

from __future__ import annotations

import asyncio
import json
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.bench import load, servers
from tests.bench.tables import table
from tests.support.databases import postgres_server

CONCURRENCIES = (1, 16)
COUNT = 800
TURNS = (1, 50, 100, 200)
TURNS_MEASURED = 50
MODEL = "up/canned"
SQLITE = '{{type: sql_sqlite, db_path: "{state}/sql.db"}}'
WARM_UP = 64


def request(*, store: bool, stream: bool) -> bytes:
    body = {"model": MODEL, "input": "Say fifty words.", "store": store, "stream": stream}
    return load.request_bytes("/v1/responses", json.dumps(body, separators=(",", ":")).encode())


def chat(*, stream: bool) -> bytes:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Say fifty words."}], "stream": stream}
    return load.request_bytes("/v1/chat/completions", json.dumps(body, separators=(",", ":")).encode())


@contextmanager
def databases() -> Iterator[dict[str, str]]:
    """The backends under measurement, each as `sql_default` in a run config; PostgreSQL as it comes, with fsync."""
    with postgres_server("") as server:
        at = f"host: {server.socket_directory}, db: {server.create_database()}, user: postgres, pool_size: 4"
        yield {"SQLite": SQLITE, "PostgreSQL": f"{{{{type: sql_postgres, {at}}}}}"}


async def measure(server: servers.Server, what: bytes, count: int) -> list[str]:
    """CPU ms of the server a request at 16 at once; p50 and p99 of the whole reply alone, and throughput at each."""
    await load.run(server.port, what, count=WARM_UP, concurrency=8)
    cells, failed, cpu_ms = [], 0, 0.0
    for concurrency in CONCURRENCIES:
        before = server.cpu_s()
        outcome = await load.run(server.port, what, count=count, concurrency=concurrency)
        cpu_ms = (server.cpu_s() - before) / count * 1000
        whole = sorted(timing.whole_s * 1000 for timing in outcome.timings)
        failed += outcome.failed
        p99 = whole[min(len(whole) - 1, int(len(whole) * 0.99))]
        rate = len(whole) / outcome.elapsed_s
        cells += [f"{cpu_ms:.2f}", f"{statistics.median(whole):.2f}", f"{p99:.1f}", f"{rate:,.0f}"]
    return [*cells, str(failed)]


def durability(scale: float) -> None:
    rows = []
    count = max(32, int(COUNT * scale))
    with servers.upstream() as upstream, databases() as backends:
        for database, backend in backends.items():
            with servers.llama_stack(upstream, servers.CONFIG.replace(SQLITE, backend)) as server:
                for stream in (False, True):
                    for name, what in {
                        "chat": chat(stream=stream),
                        "response, not stored": request(store=False, stream=stream),
                        "response, stored": request(store=True, stream=stream),
                    }.items():
                        label = f"{name}, {'streamed' if stream else 'whole'}"
                        rows.append([database, label, *asyncio.run(measure(server, what, count))])
    head = [f"{cell} at {n}" for n in CONCURRENCIES for cell in ("CPU ms", "p50 ms", "p99 ms", "per s")]
    table("responses: what durability costs", ["database", "request", *head, "failed"], rows)
    _turns(scale)


def _turns(scale: float) -> None:
    """A turn of a chain, by the number of turns before it, beside the same messages sent in one request."""
    rows = []
    question = {"role": "user", "content": "Go on."}
    with (
        servers.upstream() as upstream,
        servers.llama_stack(upstream) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}/v1", timeout=60) as client,
    ):
        previous: str | None = None
        turn = 0
        history: list[dict[str, Any]] = []
        for length in TURNS[: 2 if scale < 1 else None]:
            while turn < length:
                reply = _post(client, {"input": "Go on.", "previous_response_id": previous}).json()
                history += [question, *reply["output"]]
                previous, turn = reply["id"], turn + 1
            chained = _cost(server, client, {"input": "Go on.", "previous_response_id": previous})
            sent = _cost(server, client, {"input": [*history, question]})
            rows.append([str(length), *chained, *sent])
    head = ["turns before", "chained: CPU ms", "p50 ms", "all sent as input: CPU ms", "p50 ms"]
    table("responses: a turn's cost by the length of its chain", head, rows)


def _post(client: httpx.Client, body: dict[str, Any]) -> httpx.Response:
    return client.post("/responses", json={"model": MODEL, **body}).raise_for_status()


def _cost(server: servers.Server, client: httpx.Client, body: dict[str, Any]) -> list[str]:
    before = server.cpu_s()
    elapsed_s = [_post(client, body).elapsed.total_seconds() for _ in range(TURNS_MEASURED)]
    cpu_ms = (server.cpu_s() - before) / TURNS_MEASURED * 1000
    return [f"{cpu_ms:.1f}", f"{statistics.median(elapsed_s) * 1000:.1f}"]
