"""What a WebSocket connection may not do: stay when its key is gone, take all places, send without end, never read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from llama_stack.config.websocket import SocketLimits
from llama_stack.security.authentication import NewKey, new_key
from tests.support.responding import MODEL, RESPONSES, Responding, responding
from tests.support.upstream import Wire, text

pytestmark = pytest.mark.anyio

WAIT_S = 10.0


@asynccontextmanager
async def socket(up: Responding, key: NewKey | None = None, **options: Any) -> AsyncIterator[ClientConnection]:
    headers = {"authorization": f"Bearer {key.key}"} if key else {}
    url = f"ws://{up.server.host}:{up.server.port}{RESPONSES}"
    async with connect(url, additional_headers=headers, proxy=None, **options) as connection:
        yield connection


def message(**fields: Any) -> str:
    return json.dumps({"type": "response.create", "model": MODEL, "store": False, "input": "Hi", **fields})


async def heard(connection: ClientConnection) -> dict[str, Any]:
    """The next event that ends something."""
    async with asyncio.timeout(WAIT_S):
        while True:
            event: dict[str, Any] = json.loads(await connection.recv())
            if event["type"] in ("response.completed", "response.incomplete", "response.failed", "error"):
                return event


def keys(*callers: tuple[NewKey, str, str]) -> Mapping[str, Any]:
    named = [{"id": id_, "tenant": tenant, "hash": key.hash} for key, id_, tenant in callers]
    return {"auth": {"provider_config": {"type": "api_keys", "keys": named}}}


async def test_a_key_that_is_taken_away_ends_what_its_connections_may_do(tmp_path: Path) -> None:
    key, file = new_key(), tmp_path / "keys.yaml"
    file.write_text(yaml.safe_dump({"keys": [{"id": "ann", "tenant": "a", "hash": key.hash}]}))
    file.chmod(0o600)
    auth = {"auth": {"provider_config": {"type": "api_keys", "file": str(file)}}}
    async with responding(tmp_path, server=auth) as up, socket(up, key) as connection:
        await connection.send(message())
        assert (await heard(connection))["type"] == "response.completed"
        for others in ([], [{"id": "bob", "tenant": "a", "hash": key.hash}]):
            file.write_text(yaml.safe_dump({"keys": [{"id": "eve", "tenant": "a", "hash": new_key().hash}, *others]}))
            up.server.services.authenticator.reload()
            await connection.send(message())
            refused = await heard(connection)
            assert (refused["type"], refused["status"]) == ("error", 401)
        assert len(up.upstream.requests) == 1


async def test_connections_have_a_number(tmp_path: Path) -> None:
    ann, bob = new_key(), new_key()
    limits = {"connections_max": 3, "connections_per_caller_max": 2}
    auth = keys((ann, "ann", "a"), (bob, "bob", "a"))
    async with responding(tmp_path, server={**auth, "websocket": limits}) as up:
        async with socket(up, ann), socket(up, ann):
            with pytest.raises(InvalidStatus):
                async with socket(up, ann):
                    pass
            async with socket(up, bob):
                with pytest.raises(InvalidStatus):
                    async with socket(up, bob):
                        pass
        async with asyncio.timeout(WAIT_S):
            while True:
                try:
                    async with socket(up, ann), socket(up, ann), socket(up, bob) as again:
                        await again.send(message())
                        assert (await heard(again))["type"] == "response.completed"
                        return
                except InvalidStatus:
                    await asyncio.sleep(0.01)  # the server has yet to see that they are gone


async def test_a_flood_of_messages_is_refused_and_kept_nowhere(tmp_path: Path) -> None:
    limits = {"limits": {"body_bytes_max": 4096}, "websocket": {"waiting_max": 3}}
    async with responding(tmp_path, server=limits) as up:
        up.upstream.reply(text("One two.", wire=Wire(stall_after=1)))
        async with socket(up) as connection:
            await connection.send(message())
            await up.upstream.wait_requests(1)
            for large in (message(input="x" * 3000), message(input="x" * 3000)):
                await connection.send(large)  # the first waits; a second of that size is too much
            assert (await heard(connection))["error"]["type"] == "rate_limit_error"
            for _ in range(3):
                await connection.send(message())
            refused = await heard(connection)
            assert (refused["status"], "3 messages wait" in refused["error"]["message"]) == (429, True)
        assert len(up.upstream.requests) == 1


async def test_a_message_that_is_too_large_ends_the_connection(tmp_path: Path) -> None:
    async with responding(tmp_path, server={"limits": {"body_bytes_max": 4096}}) as up:
        for compression in ("deflate", None):
            async with socket(up, compression=compression) as connection:
                with suppress(ConnectionClosed):  # while it still sends
                    await connection.send(message(input="x" * 1_000_000))
                with pytest.raises(ConnectionClosed):
                    await heard(connection)
                assert connection.close_code == 1009
        assert (await up.http.get("/v1/health")).status_code == 200
        assert not up.upstream.requests


async def test_whoever_does_not_read_is_cut_off(tmp_path: Path) -> None:
    """The server's buffers fill up, and then it waits no longer than for a stream that stands still."""
    async with responding(tmp_path, server={"limits": {"stream_idle_timeout_s": 0.5}}) as up:
        up.upstream.reply(text("x " * 200_000), text("Hello."))
        async with socket(up, max_queue=1, compression=None) as connection:
            connection.transport.pause_reading()
            await connection.send(message())
            await up.upstream.wait_requests(1)
            async with asyncio.timeout(WAIT_S):
                while up.server.edge.admission.running:
                    await asyncio.sleep(0.01)
        reply: httpx.Response = await up.http.post(RESPONSES, json={"model": MODEL, "input": "Hi"})
        assert reply.json()["status"] == "completed"


async def test_a_busy_connection_counts_as_a_request(tmp_path: Path) -> None:
    async with responding(tmp_path, server={"limits": {"concurrent_requests_max": 1}}) as up:
        up.upstream.reply(text("One two.", wire=Wire(stall_after=1)))
        async with socket(up) as busy, socket(up) as other:
            await busy.send(message())
            await up.upstream.wait_requests(1)
            await other.send(message())
            refused = await heard(other)
            assert (refused["type"], refused["status"]) == ("error", 503)


def test_defaults_are_limits() -> None:
    limits = SocketLimits()
    assert (limits.age_s, limits.idle_s, limits.waiting_max, limits.connections_max) == (3600, 600, 16, 1024)
