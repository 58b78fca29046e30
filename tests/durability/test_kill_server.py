"""Servers killed by SIGKILL in the middle of an agent loop: the run goes on, no side effect happens twice, and a client
that comes back has seen exactly the log. When they are killed follows from the seed alone: behind some event, and a
moment later.

The servers of a module live through all its seeds, killed and started again.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import Iterator

import pytest

from tests.durability.check import check_log, check_loop
from tests.durability.client import Follower
from tests.durability.script import EVENTS, ORDERS, UNDISTURBED, orders_request, request
from tests.durability.site import LEASE_S, Site, in_postgres
from tests.support.databases import Postgres
from tests.support.mcp_server import LoopbackMcp
from tests.support.upstream import Upstream

pytestmark = pytest.mark.anyio

SEEDS = int(os.environ.get("DURABILITY_SEEDS", "4"))
KILLS_MAX = 3
MOMENT_S = 0.03
TIMEOUT_S = 120.0


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Site]:
    """One server at a time, over SQLite."""
    site = Site(tmp_path_factory.mktemp("alone"), upstream)
    yield site
    site.close()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, postgres: Postgres) -> Iterator[Site]:
    """Two servers over PostgreSQL."""
    site = Site(tmp_path_factory.mktemp("pair"), upstream, in_postgres(postgres))
    yield site
    site.close()


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, postgres: Postgres) -> Iterator[Site]:
    """A server that executes nothing in the background, and two workers, over PostgreSQL."""
    site = Site(tmp_path_factory.mktemp("workers"), upstream, in_postgres(postgres), execute=False)
    yield site
    site.close()


async def running(site: Site, servers: int = 1, workers: int = 0) -> None:
    if missing := servers - len(site.servers):
        await site.start(missing)
    if missing := workers - len(site.workers):
        await site.start_workers(missing)


async def moment(follower: Follower, rng: random.Random) -> None:
    """A point of the loop that lies behind what was seen so far."""
    await follower.seen(rng.randint(len(follower.events), max(EVENTS, len(follower.events))))
    await asyncio.sleep(rng.uniform(0, MOMENT_S))


async def test_an_undisturbed_run(alone: Site, mcp: LoopbackMcp) -> None:
    await running(alone)
    follower = Follower(lambda: alone.url, "undisturbed", request(mcp.url))
    async with asyncio.timeout(TIMEOUT_S):
        response = await follower.follow()
    check_loop(mcp.log, response)
    await check_log(alone.url, follower, response)
    assert response.output_text.endswith(UNDISTURBED)
    assert follower.connections == 1
    assert EVENTS * 0.8 < len(follower.events) < EVENTS * 1.2, "kills are spread over all of it"


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_the_only_server_is_killed_and_started_again(alone: Site, mcp: LoopbackMcp, seed: int) -> None:
    """Every second client is the helper of the `openai` package."""
    rng = random.Random(seed)
    follower = Follower(lambda: alone.url, f"loop {seed}", request(mcp.url), helper=seed % 2 == 1)
    async with asyncio.timeout(TIMEOUT_S):
        await running(alone)
        following = asyncio.create_task(follower.follow())
        for _ in range(rng.randint(1, KILLS_MAX)):
            await moment(follower, rng)
            await alone.restart()
        response = await following
    check_loop(mcp.log, response)
    await check_log(alone.url, follower, response)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_one_of_two_servers_is_killed(pair: Site, mcp: LoopbackMcp, seed: int) -> None:
    """The other one notices at once, and does not wait for the end of the lease."""
    rng = random.Random(1000 + seed)
    follower = Follower(lambda: pair.url, f"loop {seed}", request(mcp.url), helper=seed % 2 == 1)
    async with asyncio.timeout(TIMEOUT_S):
        await running(pair, servers=2)
        following = asyncio.create_task(follower.follow())
        await moment(follower, rng)
        at = time.monotonic()
        await pair.stop(pair.servers[-1])
        response = await following
        assert time.monotonic() - at < LEASE_S / 4
    check_loop(mcp.log, response)
    await check_log(pair.url, follower, response)


@pytest.mark.parametrize("seed", range(max(1, SEEDS // 2)))
async def test_one_of_two_workers_is_killed(workers: Site, mcp: LoopbackMcp, seed: int) -> None:
    rng = random.Random(2000 + seed)
    made = {**request(mcp.url), "background": True}
    follower = Follower(lambda: workers.url, f"loop {seed}", made, helper=seed % 2 == 1)
    async with asyncio.timeout(TIMEOUT_S):
        await running(workers, servers=1, workers=2)
        following = asyncio.create_task(follower.follow())
        await moment(follower, rng)
        at = time.monotonic()
        await workers.kill_worker(rng.choice(workers.workers))
        response = await following
        assert time.monotonic() - at < LEASE_S / 4
    assert follower.connections == 1, "the server lives, and so does its stream"
    check_loop(mcp.log, response)
    await check_log(workers.url, follower, response)


@pytest.mark.parametrize("seed", range(max(1, SEEDS // 4)))
async def test_calls_that_the_caller_is_to_make(alone: Site, seed: int) -> None:
    """A call that was shown as done is the one in the final output; one that was cut off cannot be made at all."""
    rng = random.Random(3000 + seed)
    follower = Follower(lambda: alone.url, f"orders {seed}", orders_request(), helper=seed % 2 == 1)
    async with asyncio.timeout(TIMEOUT_S):
        await running(alone)
        following = asyncio.create_task(follower.follow())
        await follower.seen(rng.randint(1, 45))
        await alone.restart()
        response = await following
    await check_log(alone.url, follower, response)
    done = [event.item for event in follower.events if event.type == "response.output_item.done"]
    calls = {item.call_id: item for item in response.output if item.type == "function_call"}
    assert [item.arguments for item in calls.values()] == [tool.text for tool in ORDERS]
    for item in (item for item in done if item.type == "function_call"):
        if item.status == "completed":
            assert calls[item.call_id].arguments == item.arguments
        else:
            assert item.call_id not in calls
            with pytest.raises(json.JSONDecodeError):
                json.loads(item.arguments)
