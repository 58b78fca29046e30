"""Outbound HTTP, as handed to a provider: pooled, bounded, with the provider's own TLS, proxy, timeouts and headers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol


class HttpReply(Protocol):
    """An open reply: the head has arrived, the body has not been read. Close it, or read it to its end."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Case-insensitive."""
        ...

    async def read(self, bytes_max: int | None = None) -> bytes:
        """The whole body; `ProviderError` if it is larger than `bytes_max` (the client's own limit if None).

        Closes the reply, also if it fails or is cancelled."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. `ProviderStreamBroken` if it is cut, `ProviderTimeout` if it stalls."""
        ...

    async def aclose(self) -> None:
        """Drops the connection if the body was not read to its end."""
        ...


class HttpClient(Protocol):
    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | AsyncIterator[bytes] | None = None,
        deadline: float | None = None,
    ) -> HttpReply:
        """Send one request, never retried. `ProviderUnreachable` without a connection, `ProviderTimeout` without a
        head in time; any status is a reply. `deadline` is a time of the running loop's clock.

        A body that is an iterator is sent as it comes: with the `Content-Length` of `headers` if there is one, which
        must be true, else in chunks. What it raises is raised here. It is never closed, and when this raises, or the
        reply was read or closed, no longer in use. A refusal may come before its end."""
        ...

    async def aclose(self) -> None: ...
