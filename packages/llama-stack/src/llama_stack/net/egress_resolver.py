"""What the connector is given is all that it can connect to: addresses that were checked."""

from __future__ import annotations

import ipaddress
import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from llama_stack.net.lookup import GuardedAddresses


class GuardedResolver(AbstractResolver):
    """Resolves once for each new connection."""

    def __init__(self, addresses: GuardedAddresses) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=text,
                port=port,
                family=socket.AF_INET6 if ipaddress.ip_address(text).version == 6 else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for text in await self._addresses.of(host, port)
        ]

    async def close(self) -> None:
        """Nothing is held."""
