"""Names to addresses that were checked."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import Protocol

from llama_stack.net.egress_policy import AddressGuard


class Lookup(Protocol):
    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """The addresses of `host`, as text; `OSError` if there are none."""
        ...


async def system_lookup(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # A link-local address comes with its scope as a fourth part; the text of the first does without it.
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class GuardedAddresses:
    """Looks a name up and refuses it for one closed address: a mix is an attempt at something.

    `unguarded` are hosts of configured proxies.
    """

    def __init__(self, guard: AddressGuard, lookup: Lookup, unguarded: frozenset[str] = frozenset()) -> None:
        self._guard = guard
        self._lookup = lookup
        self._unguarded = unguarded

    async def of(self, host: str, port: int) -> list[str]:
        addresses = list(await self._lookup(host, port))
        if host not in self._unguarded:
            for text in addresses:
                self._guard.check_address(host, ipaddress.ip_address(text))
        if not addresses:
            raise OSError(None, "no addresses")
        return addresses
