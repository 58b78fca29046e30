"""Servers killed by SIGKILL in the middle of an agent loop: the run goes on, no side effect happens twice, and a client
that comes back has seen exactly the log."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response

from tests.durability.client import Follower
from tests.durability.script import CALLS, ROUNDS, agent, request
from tests.durability.site import Site
from tests.support.databases import Postgres, postgres
from tests.support.mcp_server import LoopbackMcp
from tests.support.upstream import Upstream, models

pytestmark = pytest.mark.anyio

__all__ = ["postgres"]

SEEDS = int(os.environ.get("DURABILITY_SEEDS", "10"))
KILLS_MAX = 3
UNDISTURBED = "That is all. " + "; ".join(
    f"{call}: {said}"
    for call, said in [
        ("call_1", '{\n  "sum": 2\n}'),
        ("call_2", '{\n  "sum": 4\n}'),
        ("call_3", '{\n  "sum": 6\n}'),
        ("call_4", "done"),
        ("call_5", '{\n  "sum": 10\n}'),
    ]
)
"""The final answer where nothing was interrupted."""
UNDISTURBED_S = 0.9
"""About how long the loop takes alone; kills are spread over it."""
TIMEOUT_S = 90.0


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        upstream.always(agent, on="/chat/completions")
        upstream.always(models("agent"), on="/models")
        yield upstream


@asynccontextmanager
async def site(directory: Path, upstream: Upstream, storage: dict[str, Any] | None = None) -> AsyncIterator[Site]:
    with LoopbackMcp() as mcp:
        here = Site(directory, upstream, mcp, storage)
        try:
            yield here
        finally:
            await asyncio.to_thread(here.close)


def in_postgres(postgres: Postgres) -> dict[str, Any]:
    at = {"host": postgres.socket_directory, "db": postgres.create_database(), "user": "postgres"}
    return {"backends": {"kv_default": {"type": "kv_postgres", **at}, "sql_default": {"type": "sql_postgres", **at}}}


async def check(here: Site, follower: Follower, response: Response) -> None:
    """All that must hold of a run, whatever was killed under it."""
    assert response.status == "completed"
    calls = [item for item in response.output if item.type == "mcp_call"]
    assert [(item.name, item.arguments) for item in calls] == [
        (tool.name, tool.text) for tools in ROUNDS for tool in tools
    ]
    done = {"add": here.mcp.log.calls("add"), "slow": here.mcp.log.calls("slow")}
    for item in calls:
        # An MCP tool is not known to be idempotent: it ran once, or at most once if its item says it was interrupted.
        times = done[item.name].count(json.loads(item.arguments))
        if item.error is None:
            assert times == 1
            assert item.status == "completed"
        else:
            assert times <= 1
            assert "interrupted" in str(item.error)
    assert sum(map(len, done.values())) <= CALLS
    if all(item.error is None for item in calls):
        assert response.output_text.endswith(UNDISTURBED)
    await _check_log(here, follower, response)


async def _check_log(here: Site, follower: Follower, response: Response) -> None:
    async with openai.AsyncOpenAI(base_url=f"{here.url}/v1", api_key="none", max_retries=0) as client:
        stream = await client.responses.retrieve(response.id, stream=True)
        log = [event async for event in stream]
        assert [event.to_dict() for event in log] == [event.to_dict() for event in follower.events]
        stored = await client.responses.retrieve(response.id)
        assert stored.to_dict() == response.to_dict()
    final = {item.id for item in response.output}
    cut = {
        event.item.id
        for event in log
        if event.type == "response.output_item.done" and getattr(event.item, "status", None) == "incomplete"
    }
    assert not cut & final, "an item that the crash cut off is in the log as incomplete, and nowhere else"
    added = [event.item.id for event in log if event.type == "response.output_item.added"]
    assert len(added) == len(set(added)), "no item begins twice"
    assert set(added) == final | cut
    state: Any = ResponseStreamState(input_tools=openai.omit, text_format=openai.omit)
    for event in log:
        state.handle_event(event)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_the_only_server_is_killed_and_started_again(tmp_path: Path, upstream: Upstream, seed: int) -> None:
    rng = random.Random(seed)
    async with asyncio.timeout(TIMEOUT_S), site(tmp_path, upstream) as here:
        server = await here.start()
        follower = Follower(lambda: here.url, f"key-{seed}", request(here.mcp.url))
        following = asyncio.create_task(follower.follow())
        for _ in range(rng.randint(1, KILLS_MAX)):
            await asyncio.sleep(rng.uniform(0.01, UNDISTURBED_S))
            await here.kill(server)
            server = await here.start()
        await check(here, follower, await following)


@pytest.mark.parametrize("seed", range(SEEDS // 2))
async def test_one_of_two_servers_is_killed(tmp_path: Path, upstream: Upstream, postgres: Postgres, seed: int) -> None:
    rng = random.Random(1000 + seed)
    async with asyncio.timeout(TIMEOUT_S), site(tmp_path, upstream, in_postgres(postgres)) as here:
        await here.start()
        server = await here.start()
        follower = Follower(lambda: here.url, f"key-{seed}", request(here.mcp.url))
        following = asyncio.create_task(follower.follow())
        await asyncio.sleep(rng.uniform(0.01, UNDISTURBED_S))
        at = time.monotonic()
        await here.kill(server)
        await check(here, follower, await following)
        assert follower.connections > 1 or time.monotonic() - at < UNDISTURBED_S


async def test_an_undisturbed_run(tmp_path: Path, upstream: Upstream) -> None:
    async with asyncio.timeout(TIMEOUT_S), site(tmp_path, upstream) as here:
        await here.start()
        follower = Follower(lambda: here.url, "key", request(here.mcp.url))
        response = await follower.follow()
        await check(here, follower, response)
        assert response.output_text.endswith(UNDISTURBED)
        assert follower.connections == 1
