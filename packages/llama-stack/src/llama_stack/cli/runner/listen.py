"""Sockets and TLS, taken before any slow work: a port that is in use is found out at once."""

from __future__ import annotations

import errno
import socket
import ssl
from dataclasses import dataclass

from llama_stack.cli.failure import Failure
from llama_stack.config.server import ServerConfig

BACKLOG = 2048


@dataclass(frozen=True, slots=True)
class Listener:
    """Listening sockets of one host, all on one port. Clients that connect early wait in the backlog."""

    sockets: tuple[socket.socket, ...]
    host: str
    port: int

    def close(self) -> None:
        for each in self.sockets:
            each.close()


def listen(host: str, port: int) -> Listener:
    """Listen at every address of `host`; port 0 takes a free one."""
    bound: list[socket.socket] = []
    try:
        addresses = _addresses(host, port)
        for family, address in addresses:
            chosen = bound[0].getsockname()[1] if bound else port
            bound.append(_socket(family, (address[0], chosen, *address[2:]), alone=len(addresses) == 1))
    except OSError as error:
        for each in bound:
            each.close()
        raise _explained(error, host, port) from None
    return Listener(tuple(bound), host, bound[0].getsockname()[1])


def shown_url(server: ServerConfig, listener: Listener) -> str:
    """Where a client on this machine finds the server."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(listener.host, listener.host)  # noqa: S104
    return f"{server.scheme}://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{listener.port}"


def tls_context(server: ServerConfig) -> ssl.SSLContext | None:
    """TLS 1.2 and later; with `tls_cafile`, clients must show a certificate that it signed."""
    if server.tls_certfile is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # An empty password: an encrypted key is an error, never a question on the terminal.
        context.load_cert_chain(server.tls_certfile, server.tls_keyfile, password="")
    except (OSError, ssl.SSLError) as error:
        raise Failure(
            f"server.tls_certfile {server.tls_certfile} and server.tls_keyfile {server.tls_keyfile} do not load: "
            f"{_reason(error)}",
            "Both must be PEM files that belong together; the key without a password",
        ) from None
    if server.tls_cafile is not None:
        try:
            context.load_verify_locations(server.tls_cafile)
        except (OSError, ssl.SSLError) as error:
            raise Failure(
                f"server.tls_cafile {server.tls_cafile} does not load: {_reason(error)}",
                "It must be a PEM file with the certificates that may sign clients'",
            ) from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
    found = socket.getaddrinfo(host.strip("[]") or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    unique = dict.fromkeys((family, address) for family, _, _, _, address in found)
    return [(family, address) for family, address in unique if family in (socket.AF_INET, socket.AF_INET6)]  # type: ignore[misc]


def _socket(family: socket.AddressFamily, address: tuple[str | int, ...], *, alone: bool) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Alone, `::` takes IPv4 as well; a host that has both kinds of address gets a socket of each.
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not alone)
        made.bind(address)
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    made.setblocking(False)
    return made


def _explained(error: OSError, host: str, port: int) -> Failure:
    if error.errno == errno.EADDRINUSE:
        return Failure(
            f"port {port} of {host} is in use", "Stop what listens there, or choose another port: --port or server.port"
        )
    if error.errno == errno.EACCES:
        return Failure(f"listening on port {port} is not permitted", "Choose a port above 1023: --port or server.port")
    return Failure(
        f"cannot listen on {host}, port {port}: {error.strerror or error}",
        "server.host must be an address of this machine; 127.0.0.1 for this machine alone",
    )


def _reason(error: OSError) -> str:
    return str(getattr(error, "reason", None) or error.strerror or error).replace("_", " ").lower()
