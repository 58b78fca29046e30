"""Names to addresses that were checked: what the connector is given is all that it can connect to."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import Protocol

from aiohttp.abc import AbstractResolver, ResolveResult

from llama_stack.net.egress_policy import AddressGuard


class Lookup(Protocol):
    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """The addresses of `host`, as text; `OSError` if there are none."""
        ...


async def system_lookup(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # A link-local address comes with its scope as a fourth part; the text of the first does without it.
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class GuardedResolver(AbstractResolver):
    """Resolves once for each new connection. One closed address refuses the name: a mix is an attempt at something.

    `unguarded` are hosts of configured proxies.
    """

    def __init__(self, guard: AddressGuard, lookup: Lookup, unguarded: frozenset[str] = frozenset()) -> None:
        self._guard = guard
        self._lookup = lookup
        self._unguarded = unguarded

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        results: list[ResolveResult] = []
        for text in await self._lookup(host, port):
            address = ipaddress.ip_address(text)
            if host not in self._unguarded:
                self._guard.check_address(host, address)
            results.append(
                ResolveResult(
                    hostname=host,
                    host=text,
                    port=port,
                    family=socket.AF_INET6 if address.version == 6 else socket.AF_INET,
                    proto=socket.IPPROTO_TCP,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
            )
        if not results:
            raise OSError(None, "no addresses")
        return results

    async def close(self) -> None:
        """Nothing is held."""
