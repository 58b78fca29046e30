"""The outbound HTTP client: `ports.http.HttpClient` over one aiohttp session.

Redirects are not followed and cookies not kept: an API endpoint needs neither, and both have leaked credentials.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from yarl import URL

from llama_stack.net.config import NetworkConfig
from llama_stack.net.proxy import ProxyTable
from llama_stack.net.tls import ssl_context
from llama_stack.net.upload import Upload
from llama_stack_api.errors import ProviderError, ProviderStreamBroken, ProviderTimeout, ProviderUnreachable

if TYPE_CHECKING:  # takes a tenth of a second to load, which a start should not wait for; see `load_aiohttp`
    import aiohttp

URLS_CACHED_MAX = 256
READ_BUFFER_BYTES = 256 * 1024


class NetReply:
    """An open reply; see `llama_stack_api.ports.http.HttpReply`."""

    __slots__ = ("_bytes_max", "_name", "_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, name: str, bytes_max: int) -> None:
        self._response = response
        self._name = name
        self._bytes_max = bytes_max
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers

    async def read(self, bytes_max: int | None = None) -> bytes:
        limit = self._bytes_max if bytes_max is None else bytes_max
        parts: list[bytes] = []
        size = 0
        try:
            async for chunk in self.chunks():
                size += len(chunk)
                if size > limit:
                    raise ProviderError(
                        f"Provider '{self._name}' sent a reply larger than {limit} bytes; "
                        "raise network.reply_bytes_max of that provider if that is expected."
                    )
                parts.append(chunk)
        except BaseException:
            self._response.close()
            raise
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def chunks(self) -> AsyncIterator[bytes]:
        import aiohttp

        content = self._response.content
        try:
            while chunk := await content.readany():
                yield chunk
        except TimeoutError:
            raise ProviderTimeout(f"Provider '{self._name}' stopped sending in the middle of its reply.") from None
        except (aiohttp.ClientError, OSError) as error:
            raise ProviderStreamBroken(
                f"Provider '{self._name}' broke off its reply: {reason_of(error)}.", upstream_status=self.status
            ) from None

    async def aclose(self) -> None:
        # An unread body means a call that is still running upstream: dropping the connection is what cancels it.
        self._response.close()


class UploadReply(NetReply):
    """A reply to a body that may still be on its way: a refusal does not wait for its end."""

    __slots__ = ("_upload",)

    def __init__(self, reply: NetReply, upload: Upload) -> None:
        super().__init__(reply._response, reply._name, reply._bytes_max)
        self._upload = upload

    async def read(self, bytes_max: int | None = None) -> bytes:
        try:
            return await super().read(bytes_max)
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        await super().aclose()
        await self._upload.settled()


class NetClient:
    """One pool of connections with one set of TLS, proxy, timeout and header settings.

    `name` is how errors call the other side (a provider's id). `unix_socket` sends everything to that socket.
    """

    def __init__(self, network: NetworkConfig | None = None, *, name: str, unix_socket: str | None = None) -> None:
        self._network = network or NetworkConfig()
        self._name = name
        self._unix_socket = unix_socket
        self._session: aiohttp.ClientSession | None = None
        self._urls: dict[str, URL] = {}
        self._proxies = ProxyTable(self._network.proxy)

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | AsyncIterator[bytes] | None = None,
        deadline: float | None = None,
    ) -> NetReply:
        if body is not None and not isinstance(body, bytes | Upload):
            return await self._send_upload(method, url, headers, body, deadline)
        session = self._session or await self._open()
        import aiohttp

        try:
            target = self._urls.get(url) or self._remember(url)
            if deadline is None:
                response = await self._request(session, method, target, headers, body)
            else:
                async with asyncio.timeout_at(deadline):
                    response = await self._request(session, method, target, headers, body)
        except aiohttp.ConnectionTimeoutError:
            raise ProviderUnreachable(f"Provider '{self._name}' could not be reached: connecting timed out.") from None
        except TimeoutError:
            raise ProviderTimeout(f"Provider '{self._name}' did not answer in time.") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ProviderUnreachable(f"Provider '{self._name}' could not be reached: {reason_of(error)}.") from None
        return NetReply(response, self._name, self._network.reply_bytes_max)

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _send_upload(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: AsyncIterator[bytes],
        deadline: float | None,
    ) -> NetReply:
        upload = Upload(body, self._network.timeouts().read)
        try:
            async with upload.limit():
                try:
                    reply = await self.send(method, url, headers=headers, body=upload, deadline=deadline)
                finally:
                    upload.unwatched()
        except TimeoutError:
            await upload.settled()
            raise ProviderTimeout(f"Provider '{self._name}' stopped taking what it is sent.") from None
        except BaseException:
            await upload.settled()
            if upload.failure is not None:
                raise upload.failure from None
            raise
        return UploadReply(reply, upload)

    async def _request(
        self,
        session: aiohttp.ClientSession,
        method: str,
        target: URL,
        headers: Mapping[str, str] | None,
        body: bytes | Upload | None,
    ) -> aiohttp.ClientResponse:
        if self._proxies:
            proxy = self._proxies.proxy_for(target)
            if proxy is not None:
                return await session.request(
                    method, target, data=body, headers=headers, allow_redirects=False, proxy=proxy
                )
        return await session.request(method, target, data=body, headers=headers, allow_redirects=False)

    async def _open(self) -> aiohttp.ClientSession:
        await load_aiohttp()
        if self._session is None:
            self._session = self._new_session()
        return self._session

    def _new_session(self) -> aiohttp.ClientSession:
        import aiohttp

        network, limit = self._network, self._network.connections_max
        connector: aiohttp.BaseConnector
        if self._unix_socket is not None:
            connector = aiohttp.UnixConnector(path=self._unix_socket, limit=limit)
        else:
            connector = aiohttp.TCPConnector(limit=limit, ssl=ssl_context(network), keepalive_timeout=30.0)
        timeouts = network.timeouts()
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect, sock_read=timeouts.read),
            headers={"User-Agent": "llama-stack", **{k: v.get_secret_value() for k, v in network.headers.items()}},
            read_bufsize=READ_BUFFER_BYTES,
            trust_env=False,
        )

    def _remember(self, url: str) -> URL:
        parsed = URL(url)
        if len(self._urls) < URLS_CACHED_MAX:
            self._urls[url] = parsed
        return parsed


async def load_aiohttp() -> None:
    """Before the first request: in a thread, so that what is under way goes on."""
    await asyncio.to_thread(import_module, "aiohttp")


def reason_of(error: BaseException) -> str:
    """Why, in words that name no address: the message goes to clients."""
    import aiohttp

    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return "its TLS certificate or handshake was refused"
        case aiohttp.ClientConnectorDNSError():
            return "its host name does not resolve"
        case aiohttp.ClientProxyConnectionError():
            return "the proxy refused the connection"
        case aiohttp.ClientHttpProxyError():
            return f"the proxy answered with HTTP {error.status}"
        case aiohttp.ClientResponseError():
            return "it did not answer in HTTP"
        case aiohttp.ServerDisconnectedError():
            return "it closed the connection"
        case aiohttp.ClientPayloadError():
            return "the transfer ended before its announced length"
        case ValueError() | aiohttp.NonHttpUrlClientError():
            return "its address, or a header for it, is not valid"
        case OSError() if error.errno:
            # Not `strerror`: asyncio puts the address into it.
            return os.strerror(error.errno).lower()
        case _:
            return type(error).__name__
