"""The guarded client against real servers on loopback: rebinding, redirects, limits."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from llama_stack.net.egress import Egress, EgressPolicy, EgressRefused, NotConnected
from llama_stack_api.errors import ProviderError, ProviderStreamBroken, ProviderTimeout
from tests.support.files_server import Asked, FileServer, Writer, file_server, reply

pytestmark = pytest.mark.anyio

SECRETS = {"Authorization": "Bearer s3cret", "Cookie": "a=b", "X-Api-Key": "k3y", "Accept": "image/png"}


class Names:
    """A resolver with answers of its own, each used once, the last one for ever; it counts."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = {name.replace("_", "."): list(found) for name, found in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answers = self.answers.get(host)
        if answers is None:
            raise OSError(None, "unknown")
        return answers.pop(0) if len(answers) > 1 else answers[0]


@pytest.fixture
async def server() -> AsyncIterator[FileServer]:
    async with file_server() as running:
        yield running


@pytest.fixture
async def other() -> AsyncIterator[FileServer]:
    async with file_server() as running:
        yield running


@pytest.fixture
async def make() -> AsyncIterator[Any]:
    made: list[Egress] = []

    def build(lookup: Any = None, **policy: Any) -> Egress:
        more = {"lookup": lookup} if lookup else {}
        made.append(Egress(EgressPolicy(**{"timeout_s": 5, **policy}), **more))
        return made[-1]

    yield build
    for egress in made:
        await egress.aclose()


LOOPBACK = {"allowed_hosts": ["127.0.0.1"]}


async def test_a_file_is_fetched(server: FileServer, make: Any) -> None:
    url = server.add("/a", b"hello", "Text/Plain; charset=utf-8")
    fetched = await make(**LOOPBACK).fetch(url)
    assert (fetched.body, fetched.content_type, fetched.url) == (b"hello", "text/plain", url)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.0.0.1", "127.1", "0", "１２７.0.0.1"],  # noqa: RUF001
)
async def test_loopback_is_closed_however_it_is_written(server: FileServer, make: Any, host: str) -> None:
    server.add("/a", b"hello")
    with pytest.raises(EgressRefused) as caught:
        await make().fetch(server.url("/a", host))
    assert (caught.value.status, caught.value.code) == (400, "address_not_allowed")
    assert server.asked == []


@pytest.mark.parametrize(
    "url", ["ftp://example.com/", "file:///etc/passwd", "http://", "//host/", "http://u:p@example.com/"]
)
async def test_only_plain_http_urls_are_fetched(make: Any, url: str) -> None:
    with pytest.raises(EgressRefused):
        await make().fetch(url)


async def test_the_name_is_kept_and_its_checked_address_used(server: FileServer, make: Any) -> None:
    server.add("/a", b"hello")
    names = Names(files_example=[["127.0.0.1"]])
    await make(names, allowed_hosts=["files.example"]).fetch(server.url("/a", "files.example"))
    assert server.asked[0].headers["host"] == f"files.example:{server.port}"
    assert names.asked == ["files.example"]


async def test_a_name_is_resolved_once_so_that_rebinding_finds_nothing(server: FileServer, make: Any) -> None:
    server.add("/a", b"secret")
    # Public at first, loopback as soon as somebody would look again. 192.0.2.1 is for documentation and reaches nobody;
    # the policy is told that it is fine.
    names = Names(evil_example=[["192.0.2.1"], ["127.0.0.1"]])
    egress = make(names, allowed_hosts=["192.0.2.0/24"], timeout_s=0.3)
    with pytest.raises(ProviderError):
        await egress.fetch(server.url("/a", "evil.example"))
    assert names.asked == ["evil.example"]
    with pytest.raises(EgressRefused):
        await egress.fetch(server.url("/a", "evil.example"))
    assert server.asked == []


async def test_one_closed_address_among_others_closes_the_name(server: FileServer, make: Any) -> None:
    names = Names(mixed_example=[["93.184.216.34", "127.0.0.1"]])
    with pytest.raises(EgressRefused, match="loopback address"):
        await make(names).fetch(server.url("/a", "mixed.example"))


async def test_an_unknown_name_is_not_reached(make: Any) -> None:
    with pytest.raises(NotConnected, match="does not resolve"):
        await make(Names()).fetch("http://nowhere.example/")


async def test_a_redirect_to_a_closed_address_is_refused(server: FileServer, make: Any) -> None:
    # The server is reached by its name, which is allowed; where it points to is not.
    names = Names(open_example=[["127.0.0.1"]])
    egress = make(names, allowed_hosts=["open.example"])
    server.add("/a", b"secret")
    for location in (server.url("/a"), "http://169.254.169.254/latest/meta-data/", server.url("/a", "localhost")):
        server.redirect("/go", location)
        with pytest.raises((EgressRefused, NotConnected)):
            await egress.fetch(server.url("/go", "open.example"))
    assert {asked.path for asked in server.asked} == {"/go"}


async def test_a_redirect_to_another_scheme_is_refused(server: FileServer, make: Any) -> None:
    with pytest.raises(EgressRefused, match="redirects to"):
        await make(**LOOPBACK).fetch(server.redirect("/go", "file:///etc/passwd"))


async def test_redirects_have_a_limit(server: FileServer, make: Any) -> None:
    url = server.redirect("/loop", "/loop")
    with pytest.raises(ProviderError, match=r"server\.egress\.redirects_max"):
        await make(**LOOPBACK, redirects_max=3).fetch(url)
    assert len(server.asked) == 4


async def test_credentials_stay_with_their_origin(server: FileServer, other: FileServer, make: Any) -> None:
    other.add("/b", b"b")
    server.add("/same", b"same")
    egress = make(**LOOPBACK)
    await egress.fetch(server.redirect("/go", other.url("/b")), headers=SECRETS)
    await egress.fetch(server.redirect("/stay", "/same"), headers=SECRETS)
    assert server.asked[0].headers["authorization"] == "Bearer s3cret"
    assert server.asked[-1].headers["x-api-key"] == "k3y"
    received = other.asked[0].headers
    assert received["accept"] == "image/png"
    assert not received.keys() & {"authorization", "cookie", "x-api-key"}


async def test_a_redirected_post_goes_on_only_within_its_origin(
    server: FileServer, other: FileServer, make: Any
) -> None:
    server.add("/here", b"ok")
    other.add("/there", b"ok")
    server.redirect("/stay", "/here", 307)
    server.redirect("/leave", other.url("/there"), 307)
    server.redirect("/get", "/here", 302)
    client = make(**LOOPBACK).client()
    replies = [await client.send("POST", server.url(path), body=b"x") for path in ("/stay", "/leave", "/get")]
    assert [found.status for found in replies] == [200, 307, 302]
    assert [(asked.path, asked.body) for asked in server.asked][:2] == [("/stay", b"x"), ("/here", b"x")]
    assert other.asked == []
    await client.aclose()


async def test_a_trusted_address_may_be_private_but_not_what_it_redirects_to(
    server: FileServer, other: FileServer, make: Any
) -> None:
    other.add("/b", b"b")
    server.add("/a", b"a")
    client = make().client(trusted=True)
    assert await (await client.send("GET", server.url("/a"))).read() == b"a"
    server.redirect("/stay", "/a")
    assert await (await client.send("GET", server.url("/stay"))).read() == b"a"
    with pytest.raises(EgressRefused):
        await client.send("GET", server.redirect("/go", other.url("/b")))
    assert other.asked == []
    await client.aclose()


async def test_a_reply_has_a_limit(server: FileServer, make: Any) -> None:
    url = server.add("/big", b"x" * 5000)
    with pytest.raises(ProviderError, match=r"larger than 4096 bytes; server\.egress\.bytes_max"):
        await make(**LOOPBACK, bytes_max=4096).fetch(url)
    with pytest.raises(ProviderError, match="larger than 10 bytes") as caught:
        await make(**LOOPBACK).fetch(url, bytes_max=10)
    assert caught.value.code == "reply_too_large"


async def test_the_limit_counts_what_was_decompressed(server: FileServer, make: Any) -> None:
    url = server.add("/bomb", gzip.compress(b"\0" * 50_000_000), Content_Encoding="gzip")
    with pytest.raises(ProviderError, match="larger than 1048576 bytes"):
        await make(**LOOPBACK, bytes_max=1024 * 1024).fetch(url)


async def test_a_stream_without_end_is_cut(server: FileServer, make: Any) -> None:
    async def endless(asked: Asked, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
            await writer.drain()

    server.answers["/endless"] = endless
    with pytest.raises(ProviderError, match="larger than"):
        await make(**LOOPBACK, bytes_max=100_000).fetch(server.url("/endless"))


async def test_time_is_limited_for_head_and_body(server: FileServer, make: Any) -> None:
    hung = asyncio.Event()

    async def silent(asked: Asked, writer: Writer) -> None:
        await hung.wait()

    async def drip(asked: Asked, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
        await writer.drain()
        await hung.wait()

    server.answers |= {"/silent": silent, "/drip": drip}
    egress = make(**LOOPBACK, timeout_s=0.2)
    for path in ("/silent", "/drip"):
        with pytest.raises(ProviderTimeout):
            await egress.fetch(server.url(path))
    with pytest.raises(ProviderTimeout):
        await make(**LOOPBACK).fetch(server.url("/silent"), deadline=asyncio.get_running_loop().time() + 0.1)
    hung.set()


async def test_a_cut_reply_is_told_from_a_whole_one(server: FileServer, make: Any) -> None:
    server.answers["/cut"] = _cut
    with pytest.raises(ProviderStreamBroken):
        await make(**LOOPBACK).fetch(server.url("/cut"))


async def _cut(asked: Asked, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
    await writer.drain()
    writer.close()


async def test_a_status_is_an_error_of_fetch_and_a_reply_of_send(server: FileServer, make: Any) -> None:
    egress = make(**LOOPBACK)
    with pytest.raises(ProviderError) as caught:
        await egress.fetch(server.url("/missing"))
    assert caught.value.upstream_status == 404
    client = egress.client()
    found = await client.send("GET", server.url("/missing"))
    assert (found.status, await found.read()) == (404, b"not here")
    await client.aclose()


async def test_proxies_of_the_environment_are_used_only_if_configured(
    server: FileServer, other: FileServer, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", other.url(""))
    monkeypatch.delenv("no_proxy", raising=False)
    server.add("/a", b"direct")
    names = Names(**{"public_example": [["127.0.0.1"]], "closed_example": [["10.0.0.1"]]})
    direct = make(names, allowed_hosts=["public.example"])
    assert (await direct.fetch(server.url("/a", "public.example"))).body == b"direct"
    other.answers[server.url("/a", "public.example")] = reply(200, b"by proxy")
    proxied = make(names, allowed_hosts=["public.example", "127.0.0.1"], environment_proxy=True)
    assert (await proxied.fetch(server.url("/a", "public.example"))).body == b"by proxy"
    with pytest.raises(EgressRefused):
        await proxied.fetch(server.url("/a", "closed.example"))
