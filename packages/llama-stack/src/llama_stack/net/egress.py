"""The one way out for addresses that callers, or servers that they name, have chosen.

    Egress(policy)
      .client()              HttpClient: every connection goes to an address that was checked, redirects included
      .client(trusted=True)  the same for an address of the operator's config, which may be private; where a redirect
                             leaves its origin, it is guarded again
      .fetch(url)            GET, whole, within limits

A name is resolved once for each connection, by our resolver, and the connection goes to what was checked: there is no
second lookup that could answer differently. Host and SNI stay those of the URL.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.request import getproxies

from pydantic import SecretStr
from yarl import URL

from llama_stack.net.client import READ_BUFFER_BYTES, NetReply, load_aiohttp, reason_of
from llama_stack.net.config import ProxyConfig
from llama_stack.net.egress_policy import AddressGuard, EgressPolicy, EgressRefused
from llama_stack.net.lookup import GuardedAddresses, Lookup, system_lookup
from llama_stack.net.proxy import ProxyTable
from llama_stack_api.errors import ProviderError, ProviderStreamBroken, ProviderTimeout, ProviderUnreachable

if TYPE_CHECKING:  # loaded with the first request
    import aiohttp

__all__ = [
    "REPLY_TOO_LARGE",
    "Egress",
    "EgressClient",
    "EgressPolicy",
    "EgressRefused",
    "EgressReply",
    "Fetched",
    "NotConnected",
]

REPLY_TOO_LARGE = "reply_too_large"
CONNECT_TIMEOUT_S = 10.0
# Shorter than what servers use: a connection that they are about to close must not be taken for a request.
KEEPALIVE_S = 4.0

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEPS_METHOD = frozenset({307, 308})
_SAFE = frozenset({"GET", "HEAD"})
_HARMLESS = frozenset({"accept", "accept-encoding", "accept-language", "user-agent"})
"""Headers that may follow a redirect to another origin. Of all others nobody knows what they hold."""


class NotConnected(ProviderUnreachable):
    """No connection came about, so nothing was sent."""


class EgressReply(NetReply):
    """A reply within limits. `url` is where it came from, after redirects."""

    __slots__ = ("_deadline", "url")

    def __init__(self, response: aiohttp.ClientResponse, name: str, bytes_max: int, deadline: float | None) -> None:
        super().__init__(response, name, bytes_max)
        self._deadline = deadline
        self.url = str(response.url)

    async def read(self, bytes_max: int | None = None) -> bytes:
        try:
            announced = self._response.content_length
            if announced is not None and bytes_max is not None and announced > bytes_max:
                raise self._too_large(bytes_max)
            return b"".join([chunk async for chunk in self._chunks(bytes_max)])
        finally:
            self._response.close()

    def chunks(self) -> AsyncIterator[bytes]:
        return self._chunks(None)

    async def _chunks(self, bytes_max: int | None) -> AsyncIterator[bytes]:
        limit = self._bytes_max if bytes_max is None else min(bytes_max, self._bytes_max)
        size = 0
        while chunk := await self._next():
            size += len(chunk)
            if size > limit:
                self._response.close()
                raise self._too_large(limit)
            yield chunk

    async def _next(self) -> bytes:
        import aiohttp

        try:
            async with asyncio.timeout_at(self._deadline):
                return await self._response.content.readany()
        except TimeoutError:
            raise ProviderTimeout(f"'{self._name}' took too long to send its reply.") from None
        except (aiohttp.ClientError, OSError) as error:
            raise ProviderStreamBroken(
                f"'{self._name}' broke off its reply: {reason_of(error)}.", upstream_status=self.status
            ) from None

    def _too_large(self, limit: int) -> ProviderError:
        setting = "; server.egress.bytes_max sets the limit" if limit == self._bytes_max else ""
        return ProviderError(f"'{self._name}' sent a reply larger than {limit} bytes{setting}.", code=REPLY_TOO_LARGE)


@dataclass(frozen=True, slots=True)
class Fetched:
    """`content_type` as the server gave it, without parameters, in lower case; empty if it gave none."""

    body: bytes
    content_type: str
    url: str


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: URL
    headers: Mapping[str, str]
    body: bytes | None


class Egress:
    """`lookup` resolves names; the system's resolver unless a test has its own."""

    def __init__(self, policy: EgressPolicy, *, lookup: Lookup = system_lookup) -> None:
        self.policy = policy
        self._lookup = lookup
        self._client: EgressClient | None = None

    def client(self, *, trusted: bool = False, bytes_max: int | None = None) -> EgressClient:
        """A pool of its own, which its user closes. `bytes_max`: of one reply, other than the policy's."""
        return EgressClient(self.policy, self._lookup, trusted=trusted, bytes_max=bytes_max)

    async def fetch(
        self,
        url: str,
        *,
        bytes_max: int | None = None,
        deadline: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Fetched:
        """The body behind `url`, for which the policy's time limit and `deadline` hold, whichever ends earlier.

        `EgressRefused`; `ProviderError` with `upstream_status` for a status that is not 2xx; `ProviderError` with the
        code `reply_too_large`; and what `HttpClient.send` raises."""
        ends = asyncio.get_running_loop().time() + self.policy.timeout_s
        if self._client is None:
            self._client = self.client()
        reply = await self._client.send("GET", url, headers=headers, deadline=min(ends, deadline or math.inf))
        if not 200 <= reply.status < 300:
            await reply.aclose()
            raise ProviderError(f"'{URL(url).host}' answered with HTTP {reply.status}.", upstream_status=reply.status)
        body = await reply.read(bytes_max)
        content_type = reply.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return Fetched(body, content_type, reply.url)

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


class EgressClient:
    """`ports.http.HttpClient` that goes only where it may.

    Redirects of GET and HEAD are followed; those of other methods only within the origin and only where they keep
    method and body. Everything else with such a status is a reply. The deadline is for the whole reply, not only for
    its head: the policy's `timeout_s` from now, or none at all if it is `math.inf`.
    """

    def __init__(self, policy: EgressPolicy, lookup: Lookup, *, trusted: bool, bytes_max: int | None) -> None:
        self._policy = policy
        self._trusted = trusted
        self._bytes_max = policy.bytes_max if bytes_max is None else bytes_max
        proxy = _environment_proxy() if policy.environment_proxy else None
        self._guarded = _Pool(policy, lookup, proxy, trusted=False)
        self._open = _Pool(policy, lookup, proxy, trusted=True)

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        deadline: float | None = None,
    ) -> EgressReply:
        if deadline is None:
            deadline = asyncio.get_running_loop().time() + self._policy.timeout_s
        ends = None if deadline == math.inf else deadline
        request = first = _Request(method, _parse(url), dict(headers or {}), body)
        for _ in range(self._policy.redirects_max + 1):
            trusted = self._trusted and _is_within(first.url, request.url)
            response = await (self._open if trusted else self._guarded).request(request, ends)
            followed = _next_request(request, response)
            if followed is None:
                return EgressReply(response, request.url.host or "", self._bytes_max, ends)
            response.close()
            request = followed
        raise ProviderError(
            f"'{first.url.host}' redirects more than {self._policy.redirects_max} times (server.egress.redirects_max)."
        )

    async def aclose(self) -> None:
        await self._guarded.aclose()
        await self._open.aclose()


class _Pool:
    """Connections that were made under one guard."""

    def __init__(self, policy: EgressPolicy, lookup: Lookup, proxy: ProxyConfig | None, *, trusted: bool) -> None:
        self._guard = AddressGuard(policy, trusted=trusted)
        self._proxies = ProxyTable(proxy)
        self._connections_max = policy.connections_max
        self._addresses = GuardedAddresses(self._guard, lookup, _hosts(proxy))
        self._targets = GuardedAddresses(self._guard, lookup)
        self._session: aiohttp.ClientSession | None = None

    async def request(self, request: _Request, ends: float | None) -> aiohttp.ClientResponse:
        """One request, no redirect followed. The reply's head has arrived."""
        host, port = request.url.raw_host or "", request.url.port or 0
        self._guard.check_target(host, port)
        session = self._session or await self._open()
        name = request.url.host
        import aiohttp

        try:
            async with asyncio.timeout_at(ends):
                proxy = self._proxies.proxy_for(request.url)
                if proxy is not None:
                    # The proxy will look the name up itself; at least it must not be closed as we see it.
                    await self._targets.of(host, port)
                return await session.request(
                    request.method,
                    request.url,
                    data=request.body,
                    headers=request.headers,
                    allow_redirects=False,
                    proxy=proxy,
                )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotConnected(f"'{name}' could not be reached: {_why(error)}.") from None
        except TimeoutError:
            raise ProviderTimeout(f"'{name}' did not answer in time.") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ProviderUnreachable(f"'{name}' could not be reached: {reason_of(error)}.") from None

    async def _open(self) -> aiohttp.ClientSession:
        await load_aiohttp()
        if self._session is None:
            self._session = self._new_session()
        return self._session

    def _new_session(self) -> aiohttp.ClientSession:
        import aiohttp

        from llama_stack.net.egress_resolver import GuardedResolver

        connector = aiohttp.TCPConnector(
            limit=self._connections_max,
            resolver=GuardedResolver(self._addresses),
            use_dns_cache=False,
            keepalive_timeout=KEEPALIVE_S,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
            headers={"User-Agent": "llama-stack"},
            read_bufsize=READ_BUFFER_BYTES,
            trust_env=False,
        )

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _parse(url: str) -> URL:
    try:
        parsed = URL(url)
    except ValueError:
        raise EgressRefused("That is not a valid URL.") from None
    return _checked(parsed)


def _checked(url: URL) -> URL:
    if url.scheme not in ("http", "https") or not url.raw_host:
        raise EgressRefused("Only http and https URLs with a host can be fetched.")
    if url.user is not None or url.password is not None:
        raise EgressRefused("A URL that is fetched must not hold a user or a password.")
    return url


def _next_request(request: _Request, response: aiohttp.ClientResponse) -> _Request | None:
    """What a redirect asks for; None if `response` is none, or one that is not followed."""
    location = response.headers.get("Location")
    if response.status not in _REDIRECTS or not location:
        return None
    try:
        target = _checked(request.url.join(URL(location)))
    except (ValueError, EgressRefused):
        response.close()
        raise EgressRefused(f"'{request.url.host}' redirects to an address that is not a plain http(s) URL.") from None
    if _is_within(request.url, target):
        if request.method in _SAFE or response.status in _KEEPS_METHOD:
            return _Request(request.method, target, request.headers, request.body)
        return None
    if request.method not in _SAFE:
        return None
    kept = {name: value for name, value in request.headers.items() if name.lower() in _HARMLESS}
    if len(kept) < len(request.headers) and request.url.scheme == "https" and target.scheme == "http":
        response.close()
        raise EgressRefused(
            f"'{request.url.host}' redirects from https to http, which is not followed with credentials."
        )
    return _Request(request.method, target, kept, None)


def _is_within(origin: URL, target: URL) -> bool:
    """The same origin, or its upgrade from http to https on the default ports."""
    if origin.raw_host != target.raw_host:
        return False
    if (origin.scheme, origin.port) == (target.scheme, target.port):
        return True
    return (origin.scheme, origin.port, target.scheme, target.port) == ("http", 80, "https", 443)


def _why(error: Exception) -> str:
    import aiohttp

    return "connecting timed out" if isinstance(error, aiohttp.ConnectionTimeoutError) else reason_of(error)


def _hosts(proxy: ProxyConfig | None) -> frozenset[str]:
    secrets = (proxy.http, proxy.https) if proxy else ()
    return frozenset(URL(secret.get_secret_value()).raw_host or "" for secret in secrets if secret is not None)


def _environment_proxy() -> ProxyConfig:
    found = getproxies()
    secrets = {scheme: SecretStr(found[scheme]) for scheme in ("http", "https") if scheme in found}
    direct = [host for host in found.get("no", "").split(",") if host.strip()]
    return ProxyConfig(http=secrets.get("http"), https=secrets.get("https"), no_proxy=direct)
