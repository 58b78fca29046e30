"""Where a server without authentication may listen."""

from __future__ import annotations

import ipaddress

FLAG = "--allow-unauthenticated"


class OpenToTheNetwork(ValueError):
    """Starting like this would let anybody who reaches the machine use the server and what it has keys for."""


def check_listening(host: str, *, authenticated: bool, allow_unauthenticated: bool) -> None:
    """Raise `OpenToTheNetwork` if `host` is beyond this machine and nobody is asked who he is."""
    if authenticated or allow_unauthenticated or is_loopback(host):
        return
    raise OpenToTheNetwork(
        f"The server would listen on {host or 'all addresses'} without authentication: whoever reaches this machine "
        "could use every model and provider key that it has. Configure API keys (server.auth.provider_config, type "
        f"api_keys), or listen on 127.0.0.1 (server.host), or say {FLAG} where a gateway in front asks who is calling."
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect. No for names other than `localhost`, which may resolve to anything."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return False
