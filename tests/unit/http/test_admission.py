"""Concurrency, drain at shutdown, and what stays reachable meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.edge import CHAT, QUESTION, Waiting, client, edge

pytestmark = pytest.mark.anyio


async def test_more_requests_than_allowed_are_refused_and_health_is_not(tmp_path: Path) -> None:
    waiting = Waiting()
    limits = {"limits": {"concurrent_requests_max": 1}}
    async with edge(tmp_path, waiting, server=limits) as (server, _), client(server) as http:
        first = asyncio.create_task(http.post(CHAT, json=QUESTION))
        await waiting.asked.wait()
        refused = await http.post(CHAT, json=QUESTION)
        error = refused.json()["error"]
        assert (refused.status_code, error["type"], error["code"]) == (503, "overloaded_error", "overloaded")
        assert "server.limits.concurrent_requests_max" in error["message"]
        assert refused.headers["retry-after"] == "1"
        assert (await http.get("/v1/health")).json() == {"status": "OK"}
        assert (await http.get("/metrics")).status_code == 200
        waiting.go.set()
        assert (await first).status_code == 200
        assert (await http.post(CHAT, json=QUESTION)).status_code == 200


async def test_a_drain_lets_running_requests_finish_and_refuses_new_ones(tmp_path: Path) -> None:
    waiting = Waiting()
    async with edge(tmp_path, waiting) as (server, _), client(server) as http:
        running = asyncio.create_task(http.post(CHAT, json=QUESTION))
        await waiting.asked.wait()
        server.stop()
        while not server.edge.admission.draining:
            await asyncio.sleep(0)
        for path in (CHAT, "/v1/health"):
            refused = await http.request("POST" if path == CHAT else "GET", path, json=QUESTION)
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "shutting_down")
            assert refused.headers["retry-after"] == "1"
            assert refused.headers["connection"] == "close"
        waiting.go.set()
        assert (await running).json() == {"done": True}


async def test_a_drain_stops_what_does_not_finish(tmp_path: Path) -> None:
    waiting = Waiting()
    async with edge(tmp_path, waiting, server={"shutdown_grace_s": 0.1}) as (server, _), client(server) as http:
        running = asyncio.create_task(http.post(CHAT, json=QUESTION))
        await waiting.asked.wait()
        server.stop()
        reply = await running
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "shutting_down")
        assert waiting.cancelled.is_set()


async def test_the_drain_of_an_idle_server_is_over_at_once(tmp_path: Path) -> None:
    async with edge(tmp_path) as (server, _):
        async with asyncio.timeout(1):
            assert await server.edge.drain(30) == 0
