"""Two servers over one PostgreSQL: what one of them does is seen at the other at once, by NOTIFY and not by polling."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tests.durability.client import Follower, client_of
from tests.durability.site import Site, in_postgres
from tests.support.databases import Postgres
from tests.support.upstream import Answer, Recorded, Upstream, Wire, models, text

pytestmark = pytest.mark.anyio

POLL_S = 20.0
"""So long that nothing of this can be seen by looking again."""
LISTENERS = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = '{database}'"


class Spoken:
    """A model that says two words, and when it had said the first one."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def __call__(self, asked: Recorded) -> Answer:
        self.at.append(time.monotonic())
        return text("Hello there", wire=Wire(gap_s=0.05))(asked)


async def seen_elsewhere(site: Site, model: Spoken) -> None:
    """A response that one server is asked for in the background and the other one streams."""
    one, other = site.servers
    async with client_of(one.url) as client:
        made = await client.responses.create(model="scripted/agent", input="Hi", background=True)
        began = time.monotonic()
    follower = Follower(lambda: other.url, "", {}, response_id=made.id)
    response = await follower.follow()
    assert response.output_text == "Hello there"
    assert follower.connections == 1
    assert model.at[-1] - began < POLL_S / 4, "it was claimed at once"
    assert time.monotonic() - model.at[-1] < POLL_S / 4, "and seen at once"


async def listeners(postgres: Postgres, database: str, count: int, *, without: str = "") -> str:
    """The connections that listen, once there are so many."""
    while True:
        found = await asyncio.to_thread(postgres.execute, LISTENERS.format(database=database))
        pids = sorted(line.strip() for line in found.splitlines() if line.strip().isdigit())
        if len(pids) == count and not set(pids) & set(without.split(",")):
            return ",".join(pids)
        await asyncio.sleep(0.05)


async def test_news_travel_at_once_and_again_after_the_listening_connections_were_lost(
    tmp_path: Path, postgres: Postgres
) -> None:
    storage: dict[str, Any] = in_postgres(postgres)
    database = storage["backends"]["sql_default"]["db"]
    with Upstream() as upstream:
        model = Spoken()
        upstream.always(model, on="/chat/completions")
        upstream.always(models("agent"), on="/models")
        site = Site(tmp_path, upstream, storage, poll_s=POLL_S)
        try:
            async with asyncio.timeout(120):
                await site.start(2)
                before = await listeners(postgres, database, 2)
                await seen_elsewhere(site, model)
                await asyncio.to_thread(
                    postgres.execute, f"SELECT pg_terminate_backend(pid) FROM unnest(ARRAY[{before}]) AS pid"
                )
                await listeners(postgres, database, 2, without=before)
                for _ in range(3):
                    await seen_elsewhere(site, model)
        finally:
            await asyncio.to_thread(site.close)
