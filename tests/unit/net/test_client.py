"""The outbound client against a real server: every failure has its own error, and closing is at once."""

import asyncio
import socket
import ssl
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from pydantic import SecretStr
from yarl import URL

from llama_stack.net.client import NetClient
from llama_stack.net.config import NetworkConfig, ProxyConfig, TimeoutConfig, TLSConfig
from llama_stack.net.proxy import ProxyTable
from llama_stack_api.errors import ProviderError, ProviderStreamBroken, ProviderTimeout, ProviderUnreachable
from tests.support.certificates import Authority
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


@asynccontextmanager
async def raw(*replies: bytes) -> AsyncIterator[str]:
    """A server that answers each connection with the next of these bytes, whatever it is asked, and closes."""
    waiting = list(replies)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(waiting.pop(0))
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


async def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(512)) + packer.flush()
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    client = NetClient(NetworkConfig(reply_bytes_max=1 << 20), name="up")
    async with raw(head + bomb) as url:
        reply = await client.send("GET", url)
        tracemalloc.start()
        with pytest.raises(ProviderError, match="reply_bytes_max"):
            await reply.read()
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    await client.aclose()
    assert peak_bytes < 64 << 20


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 1_000_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(20_000)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 5\r\n\r\nhello",
    ],
    ids=["no HTTP", "a huge header", "many headers", "an encoding we did not ask for"],
)
async def test_what_is_no_http_that_we_take_is_unreachable(answer: bytes) -> None:
    client = NetClient(NetworkConfig(headers={"X-Key": SecretStr("s3cr3t-value")}), name="up")
    async with raw(answer) as url:
        with pytest.raises(ProviderUnreachable, match="did not answer in HTTP") as caught:
            await client.send("GET", url)
    await client.aclose()
    assert "s3cr3t" not in f"{caught.value.message}{caught.value!r}{caught.value.__cause__}"


@pytest.mark.parametrize("url", ["http://up:port/v1", "http://up:99999", "http://[::1", "ftp://up/v1", "/v1", ""])
async def test_an_address_that_is_none_is_said_to_be_so(url: str) -> None:
    client = NetClient(name="up")
    with pytest.raises(ProviderUnreachable, match="its address"):
        await client.send("GET", url)
    await client.aclose()


async def test_certificates_are_checked_unless_told_otherwise(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    issued = authority.issue("up")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(issued.cert, issued.key)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        for network, trusted in (
            (NetworkConfig(), False),
            (NetworkConfig(tls=TLSConfig()), False),
            (NetworkConfig(tls=TLSConfig(verify=authority.cert)), True),
            (NetworkConfig(tls=TLSConfig(verify=False)), True),
        ):
            client = NetClient(network, name="up")
            if trusted:
                assert await (await client.send("GET", url)).read() == b"hi"
            else:
                with pytest.raises(ProviderUnreachable, match="certificate"):
                    await client.send("GET", url)
            await client.aclose()
