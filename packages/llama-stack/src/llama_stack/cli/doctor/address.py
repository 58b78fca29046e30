"""The port, who has it, and TLS."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from llama_stack.cli.asking import Address, NoAnswer, ask
from llama_stack.cli.doctor.finding import Finding, ok, problem, warning
from llama_stack.cli.failure import Failure
from llama_stack.cli.runner.listen import listen, tls_context
from llama_stack.config.server import ServerConfig
from llama_stack.security.listening import OpenToTheNetwork, check_listening

EXPIRY_WARNING = timedelta(days=21)
_ASK_TIMEOUT_S = 1.0
_LISTENING = "0A"


def check_port(server: ServerConfig) -> Iterator[Finding]:
    where = f"{server.host}, port {server.port}"
    try:
        listen(server.host, server.port).close()
    except Failure as failure:
        yield _in_use(server) if _answers(server) else problem("port", failure.what, failure.remedy)
        return
    yield ok("port", f"{where} is free" if server.port else "a free port is taken at the start")


def check_open_to_the_network(server: ServerConfig) -> Iterator[Finding]:
    authenticated = server.auth is not None and server.auth.provider_config is not None
    try:
        check_listening(server.host, authenticated=authenticated, allow_unauthenticated=False)
    except OpenToTheNetwork as error:
        yield problem("access", str(error), "`llama stack keys new` makes a key and the lines to paste")
        return
    yield ok("access", "clients need a key" if authenticated else "this machine alone is served, without a key")


def check_tls(server: ServerConfig, now: datetime | None = None) -> Iterator[Finding]:
    if server.tls_certfile is None:
        return
    try:
        tls_context(server)
    except Failure as failure:
        yield problem("tls", failure.what, failure.remedy)
        return
    from llama_stack.security.certificates import expires_at

    ends = expires_at(Path(server.tls_certfile))
    left = ends - (now or datetime.now(UTC))
    said = f"the certificate {server.tls_certfile} {'ended' if left < timedelta() else 'ends'} on {ends:%Y-%m-%d}"
    remedy = "Renew it, and start the server again"
    if left < timedelta():
        yield problem("tls", said, remedy)
    elif left < EXPIRY_WARNING:
        yield warning("tls", said, remedy)
    else:
        yield ok("tls", said)


def _answers(server: ServerConfig) -> bool:
    try:
        socket.create_connection((server.host or "localhost", server.port), _ASK_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def _in_use(server: ServerConfig) -> Finding:
    what = f"port {server.port} of {server.host} is in use"
    holder = holder_of(server.port)
    by = f" by {holder}" if holder else ""
    if is_llama_stack(server):
        return warning(
            "port", f"{what}{by}: a Llama Stack runs there", "Use it, stop it, or take another port: run --port 0"
        )
    return problem("port", f"{what}{by}", "Stop what listens there, or choose another port: --port or server.port")


def is_llama_stack(server: ServerConfig) -> bool:
    address = Address(server.host or "localhost", server.port, server.scheme == "https")
    try:
        return ask(address, "/v1/health", timeout_s=_ASK_TIMEOUT_S).body == {"status": "OK"}
    except NoAnswer:
        return False


def holder_of(port: int) -> str | None:
    """Which process listens on a port, as `name (pid n)`: where the system has /proc, and it is ours to see."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not sockets:
        return None
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and _has_one_of(process, sockets):
            with suppress(OSError):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return None


def _listening_inodes(port: int) -> Iterator[str]:
    """From lines as `sl local_address rem_address st … inode`, addresses and states in hexadecimal."""
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        with suppress(OSError):
            for line in table.read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]


def _has_one_of(process: Path, sockets: set[str]) -> bool:
    with suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                if str(descriptor.readlink()) in sockets:
                    return True
    return False
