"""The outbound client against a real server: every failure has its own error, and closing is at once."""

import asyncio
import socket

import pytest
from pydantic import SecretStr
from yarl import URL

from llama_stack.net.client import NetClient
from llama_stack.net.config import NetworkConfig, ProxyConfig, TimeoutConfig
from llama_stack.net.proxy import ProxyTable
from llama_stack_api.errors import ProviderError, ProviderStreamBroken, ProviderTimeout, ProviderUnreachable
from tests.support.upstream import Upstream, Wire, text

pytestmark = pytest.mark.anyio
BODY = b'{"model":"m","messages":[{"role":"user","content":"x"}]}'
JSON = {"Content-Type": "application/json"}


async def ask(up: Upstream, network: NetworkConfig | None = None, **more: object) -> bytes:
    client = NetClient(network, name="up")
    try:
        reply = await client.send("POST", f"{up.base_url}/chat/completions", headers=JSON, body=BODY, **more)  # type: ignore[arg-type]
        return await reply.read()
    finally:
        await client.aclose()


async def test_connections_are_reused() -> None:
    async with Upstream() as up:
        client = NetClient(name="up")
        for _ in range(5):
            reply = await client.send("POST", f"{up.base_url}/chat/completions", headers=JSON, body=BODY)
            await reply.read()
        await client.aclose()
        assert up.connections == 1


async def test_configured_headers_are_sent_and_no_cookies_kept() -> None:
    async with Upstream() as up:
        await ask(up, NetworkConfig(headers={"X-Team": SecretStr("blue")}))
        assert up.last.headers["x-team"] == "blue"
        assert "cookie" not in up.last.headers


async def test_nobody_listens() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        client = NetClient(name="gone")
        with pytest.raises(ProviderUnreachable) as caught:
            await client.send("GET", f"http://127.0.0.1:{reserved.getsockname()[1]}/v1/models")
        await client.aclose()
    assert "gone" in caught.value.message
    assert "127.0.0.1" not in caught.value.message


async def test_a_closed_connection_is_unreachable_a_cut_body_is_broken() -> None:
    async with Upstream() as up:
        up.reply(text("x", wire=Wire(refuse=True)))
        with pytest.raises(ProviderUnreachable):
            await ask(up)
        up.reply(text("long enough to be cut", wire=Wire(cut_after=0)))
        with pytest.raises(ProviderStreamBroken):
            await ask(up)


async def test_a_stalled_head_and_a_stalled_body_time_out() -> None:
    quick = NetworkConfig(timeout=TimeoutConfig(read=0.05))
    async with Upstream() as up:
        up.reply(text("x", wire=Wire(stall_head=True)), text("x", wire=Wire(stall_after=0)))
        with pytest.raises(ProviderTimeout):
            await ask(up, quick)
        with pytest.raises(ProviderTimeout):
            await ask(up, quick)


async def test_the_deadline_counts() -> None:
    async with Upstream() as up:
        up.reply(text("x", wire=Wire(stall_head=True)))
        with pytest.raises(ProviderTimeout):
            await ask(up, deadline=asyncio.get_running_loop().time() + 0.05)


async def test_a_reply_over_the_limit_is_refused() -> None:
    async with Upstream() as up:
        up.reply(text("x" * 5000))
        with pytest.raises(ProviderError, match="reply_bytes_max"):
            await ask(up, NetworkConfig(reply_bytes_max=1024))


async def test_cancelling_hangs_up_at_once() -> None:
    async with Upstream() as up:
        up.reply(text("x", wire=Wire(stall_head=True)))
        task = asyncio.create_task(ask(up))
        await up.wait_requests(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await up.last.wait_hung_up()


def test_the_proxy_table() -> None:
    table = ProxyTable(
        ProxyConfig(url=SecretStr("http://proxy:1"), https=SecretStr("http://tls:2"), no_proxy=[".in.org"])
    )
    assert table.proxy_for(URL("http://a.org")) == URL("http://proxy:1")
    assert table.proxy_for(URL("https://a.org")) == URL("http://tls:2")
    assert table.proxy_for(URL("https://x.in.org")) is None
    assert table.proxy_for(URL("https://in.org")) is None
    assert not ProxyTable(None)
