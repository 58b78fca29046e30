"""Servers that are killed, or stopped politely, while something waits: a client, an approval, one of several tools."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.durability.check import check_log, check_loop
from tests.durability.client import Follower, client_of
from tests.durability.script import request
from tests.durability.site import Site, in_postgres
from tests.support.databases import Postgres
from tests.support.mcp_server import LoopbackMcp
from tests.support.upstream import Answer, Recorded, Tool, Upstream, calls, models, text

pytestmark = pytest.mark.anyio

TIMEOUT_S = 120.0


@pytest.fixture
async def site(tmp_path: Path, upstream: Upstream) -> AsyncIterator[Site]:
    site = Site(tmp_path, upstream, drain_s=0.05)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await site.start()
            yield site
    finally:
        await asyncio.to_thread(site.close)


def attempts(site: Site, response_id: str) -> int:
    database = site.directory / ".llama/distributions/durable/sql_store.db"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        ((count,),) = connection.execute("SELECT attempts FROM ls_runs WHERE id = ?", (response_id,))
    return int(count)


async def test_a_client_that_waits_gets_the_same_response_again(site: Site, mcp: LoopbackMcp) -> None:
    async def ask() -> Any:
        async with client_of(site.url) as client:
            return await client.responses.create(**request(mcp.url), extra_headers={"Idempotency-Key": "waiting"})

    waiting = asyncio.create_task(ask())
    await asyncio.to_thread(mcp.log.wait_for, "slow", "started")
    await site.restart()
    with pytest.raises(openai.APIConnectionError):
        await waiting
    response, again = await ask(), await ask()
    assert response.to_dict() == again.to_dict()
    check_loop(mcp.log, response)


async def test_an_approval_is_waited_for_over_a_restart(site: Site, mcp: LoopbackMcp) -> None:
    made = request(mcp.url)
    made["tools"][0]["require_approval"] = "always"
    async with client_of(site.url) as client:
        asked = await client.responses.create(**made)
    (wanted,) = (item for item in asked.output if item.type == "mcp_approval_request")
    await site.restart()
    answer: Any = {"type": "mcp_approval_response", "approval_request_id": wanted.id, "approve": True}
    made |= {"input": [answer], "previous_response_id": asked.id}
    follower = Follower(lambda: site.url, "approved", made)
    following = asyncio.create_task(follower.follow())
    await asyncio.to_thread(mcp.log.wait_for, "add", "started")
    await site.restart()
    response = await following
    (call,) = (item for item in response.output if item.type == "mcp_call")
    assert call.approval_request_id == wanted.id
    assert call.error is None or "interrupted" in str(call.error)
    assert mcp.log.calls("add") == [{"a": 1, "b": 1}]
    assert response.output[-1].type == "mcp_approval_request", "the next call waits for its own"
    await check_log(site.url, follower, response)


async def test_a_kill_between_tools_that_run_in_parallel(tmp_path: Path, mcp: LoopbackMcp) -> None:
    """What has a result keeps it, what was running says that it was interrupted, and neither runs again."""

    def both(asked: Recorded) -> Answer:
        results = [message["content"] for message in asked.body["messages"] if message["role"] == "tool"]
        if results:
            return text(" ".join(map(str, results)))(asked)
        return calls(Tool("add", {"a": 1, "b": 1}, "call_1"), Tool("slow", {"seconds": 30}, "call_2"))(asked)

    with Upstream() as upstream:
        upstream.always(both, on="/chat/completions")
        upstream.always(models("agent"), on="/models")
        site = Site(tmp_path, upstream)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await site.start()
                follower = Follower(lambda: site.url, "both", request(mcp.url))
                following = asyncio.create_task(follower.follow())
                await asyncio.to_thread(mcp.log.wait_for, "slow", "started")
                while not any(event.type == "response.mcp_call.completed" for event in follower.events):
                    await follower.seen(len(follower.events) + 1)
                await site.restart()
                response = await following
            await check_log(site.url, follower, response)
        finally:
            await asyncio.to_thread(site.close)
    add, slow = (item for item in response.output if item.type == "mcp_call")
    assert json.loads(str(add.output)) == {"sum": 2}
    assert "interrupted" in str(slow.error)
    assert (mcp.log.calls("add"), mcp.log.calls("slow")) == ([{"a": 1, "b": 1}], [{"seconds": 30}])
    assert response.status == "completed"
    assert "interrupted" in response.output_text, "the model was told"


async def in_background(site: Site, mcp: LoopbackMcp) -> Follower:
    """A response that runs and that nobody follows yet: a server that stops waits for those who are being answered."""
    async with client_of(site.url) as client:
        made = await client.responses.create(**request(mcp.url), background=True)
    await asyncio.to_thread(mcp.log.wait_for, "add", "started")
    return Follower(lambda: site.url, "polite", {}, response_id=made.id)


async def test_a_server_that_is_stopped_politely_counts_no_attempt(site: Site, mcp: LoopbackMcp) -> None:
    follower = await in_background(site, mcp)
    await site.restart(signal.SIGTERM)
    response = await follower.follow()
    check_loop(mcp.log, response)
    await check_log(site.url, follower, response)
    assert attempts(site, response.id) == 1


async def test_what_a_stopped_server_leaves_another_one_takes(
    tmp_path: Path, upstream: Upstream, postgres: Postgres, mcp: LoopbackMcp
) -> None:
    site = Site(tmp_path, upstream, in_postgres(postgres), drain_s=0.05)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await site.start()
            follower = await in_background(site, mcp)
            first = site.servers[0]
            await site.start()
            await site.stop(first, signal.SIGTERM)
            response = await follower.follow()
            check_loop(mcp.log, response)
            await check_log(site.url, follower, response)
    finally:
        await asyncio.to_thread(site.close)
