"""`Host`, for a server that only this machine can reach and that asks for no key.

A web page can give its own domain a second address, 127.0.0.1, and the browser then takes this server for the page's
own (DNS rebinding). The name that it asks for gives it away: it is one that the public DNS knows.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from llama_stack_api.errors import PermissionDenied

HEADER = b"host"
ACCEPTED_CACHED_MAX = 64
# Suffixes that no registry sells; nor does it sell names without a dot.
_PRIVATE = (".localhost", ".local", ".internal", ".home.arpa", ".test")


class HostCheck:
    """Lets through addresses, private names and whatever `server_host` is."""

    def __init__(self, server_host: str) -> None:
        self._server_host = server_host.lower()
        self._accepted: set[bytes | None] = {None}

    def __call__(self, headers: Mapping[bytes, bytes]) -> None:
        host = headers.get(HEADER)
        if host in self._accepted:
            return
        name = _without_port((host or b"").decode("latin-1")).lower().rstrip(".")
        if name != self._server_host and not _is_private(name):
            raise PermissionDenied(
                f"This server asks for no key and so answers to addresses and private names, not to {name[:99]!r}: "
                "pages of that name could use it unasked. Configure API keys (server.auth), or have the proxy send "
                "'Host: localhost'.",
                code="host_not_allowed",
            )
        if len(self._accepted) < ACCEPTED_CACHED_MAX:
            self._accepted.add(host)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] or host


def _is_private(name: str) -> bool:
    if "." not in name and ":" not in name:
        return True
    if name.endswith(_PRIVATE):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
