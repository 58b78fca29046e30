"""`python -m tests.bench [proxy] [messages] [responses] [batches] [start] [soak] [size] [search] [search-http]
[ingestion] [retrieval] [translation] [--quick]`
prints tables, tests nothing."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeAlias

from tests.bench import (
    batches,
    ingestion,
    knowledge,
    knowledge_http,
    load,
    response_soak,
    responses,
    retrieval_quality,
    servers,
    soak,
    translation,
)
from tests.bench.tables import table
from tests.bench.upstream import CHUNKS

CONCURRENCIES = (1, 32, 128)
WARM_UP = 200
MESSAGES = "/v1/messages"


Launch: TypeAlias = tuple[Callable[[int], AbstractContextManager[servers.Server]], str]
"""How a server is started, and what stands before its models' names."""


@dataclass(frozen=True, slots=True)
class Workload:
    """`cost_count` requests measure CPU; `count` requests at each concurrency measure time."""

    name: str
    model: str
    stream: bool
    cost_count: int
    count: int
    path: str = "/v1/chat/completions"

    def request(self, prefix: str) -> bytes:
        body = {"model": prefix + self.model, "temperature": 0.7, "stream": self.stream, "max_tokens": 100}
        asked = {"role": "user", "content": "Say fifty words."}
        if self.path == MESSAGES:
            body |= {"system": "You are helpful.", "messages": [asked]}
        else:
            body["messages"] = [{"role": "system", "content": "You are helpful."}, asked]
        return load.request_bytes(self.path, json.dumps(body, separators=(",", ":")).encode())


WORKLOADS = (
    Workload("chat", "canned", False, 4000, 2000),
    Workload("stream, burst", "canned", True, 2000, 1000),
    Workload("stream, 2 ms apart", "canned-2ms", True, 400, 256),
)
MESSAGE_WORKLOADS = (
    Workload("messages", "canned", False, 4000, 2000, MESSAGES),
    Workload("messages, stream", "canned", True, 2000, 1000, MESSAGES),
)
SERVERS: dict[str, Launch] = {
    "uvicorn + aiohttp": (lambda port: servers.reference("bare", port), ""),
    "llama-stack": (servers.llama_stack, "up/"),
    "FastAPI + httpx": (lambda port: servers.reference("fastapi_httpx", port), ""),
}
MESSAGE_SERVERS: dict[str, Launch] = {
    "uvicorn + aiohttp": (lambda port: servers.reference("bare", port), ""),
    "llama-stack, passed through": (servers.llama_stack, "up/"),
    "llama-stack, translated": (servers.llama_stack, "chat/"),
}


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def measure(server: servers.Server, workload: Workload, prefix: str, scale: float) -> list[str]:
    """One row: CPU seconds per 1,000 requests, times at concurrency 1, throughput at each concurrency."""
    request = workload.request(prefix)
    await load.run(server.port, request, count=WARM_UP, concurrency=8)
    count = int(workload.cost_count * scale)
    before = server.cpu_s()
    cost = await load.run(server.port, request, count=count, concurrency=32)
    cpu_s = (server.cpu_s() - before) / count * 1000
    failed, rates, alone = cost.failed, [], None
    for concurrency in CONCURRENCIES:
        outcome = await load.run(
            server.port, request, count=max(32, int(workload.count * scale)), concurrency=concurrency
        )
        failed += outcome.failed
        alone = alone or outcome
        per_s = len(outcome.timings) / outcome.elapsed_s
        rates.append(f"{per_s * (CHUNKS if workload.stream else 1):,.0f}")
    assert alone is not None
    whole = [timing.whole_s * 1000 for timing in alone.timings]
    first = [timing.first_s * 1000 for timing in alone.timings]
    times = [statistics.median(first), statistics.median(whole), percentile(whole, 0.99)]
    return [server.name, f"{cpu_s:.3f}", *(f"{value:.2f}" for value in times), *rates, str(failed)]


def proxy(scale: float) -> None:
    compare(SERVERS, WORKLOADS, scale)


def messages(scale: float) -> None:
    compare(MESSAGE_SERVERS, MESSAGE_WORKLOADS, scale)


def compare(launches: Mapping[str, Launch], workloads: Sequence[Workload], scale: float) -> None:
    rows: dict[str, list[list[str]]] = {workload.name: [] for workload in workloads}
    with servers.upstream() as upstream:
        for name, (start, prefix) in launches.items():
            with start(upstream) as server:
                for workload in workloads:
                    row = asyncio.run(measure(server, workload, prefix, scale))
                    rows[workload.name].append([name, *row[1:]])
    for workload in workloads:
        unit = "chunks/s" if workload.stream else "req/s"
        head = ["server", "CPU s per 1,000", "first byte p50 ms", "whole p50 ms", "p99 ms"]
        table(workload.name, [*head, *(f"{unit} at {n}" for n in CONCURRENCIES), "failed"], rows[workload.name])


def start(scale: float) -> None:
    rows = []
    with servers.upstream() as upstream:
        for name, (launch, prefix) in SERVERS.items():
            seconds = []
            for _ in range(max(1, int(5 * scale))):
                with launch(upstream) as server:
                    seconds.append(server.started_in_s)
                    at_rest = server.memory_mb()
                    asyncio.run(
                        load.run(server.port, WORKLOADS[0].request(prefix), count=int(1000 * scale), concurrency=32)
                    )
                    after = server.memory_mb()
            rows.append([name, f"{statistics.median(seconds):.2f}", f"{at_rest:.0f}", f"{after:.0f}"])
    table("start and memory", ["server", "start to first answer s", "MB at rest", "MB after load"], rows)


def soaks(scale: float) -> None:
    soak.soak(scale)
    response_soak.soak(scale)


MEASUREMENTS: dict[str, Callable[[float], None]] = {
    "proxy": proxy,
    "messages": messages,
    "responses": responses.durability,
    "batches": batches.batches,
    "start": start,
    "soak": soaks,
    "size": response_soak.size,
    "search": knowledge.search,
    "search-http": knowledge_http.search,
    "ingestion": ingestion.ingestion,
    "retrieval": retrieval_quality.retrieval,
    "translation": translation.translation,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("what", nargs="*", choices=[*MEASUREMENTS, []], help="default: all")
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests: to see that it runs")
    args = parser.parse_args()
    scale = 0.1 if args.quick else 1.0
    servers.pin_self()
    for name, run in MEASUREMENTS.items():
        if not args.what or name in args.what:
            run(scale)


if __name__ == "__main__":
    main()
