"""The port that is really taken, and certificates that really end."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from llama_stack.cli.doctor.address import check_open_to_the_network, check_port, check_tls, holder_of
from llama_stack.cli.doctor.finding import Finding, Level
from llama_stack.config.server import ServerConfig
from tests.support.certificates import Authority
from tests.unit.cli.test_detect import free_port, server


def the_one(findings: Iterable[Finding]) -> Finding:
    (finding,) = findings
    return finding


def test_a_free_port_is_free_afterwards_too() -> None:
    config = ServerConfig(port=free_port())
    assert the_one(check_port(config)).level is Level.OK
    assert the_one(check_port(config)).level is Level.OK


def test_a_port_that_is_taken_and_by_whom() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = the_one(check_port(ServerConfig(port=port)))
        assert found.level is Level.PROBLEM
        assert f"port {port} of 127.0.0.1 is in use" in found.what
        if Path("/proc/net/tcp").exists():
            assert f"(pid {os.getpid()})" in found.what
    assert holder_of(port) is None


def test_a_port_on_which_one_of_ours_serves_is_no_problem() -> None:
    with server({"/v1/health": {"status": "OK"}}) as port:
        found = the_one(check_port(ServerConfig(port=port)))
    assert found.level is Level.WARNING
    assert "a Llama Stack runs there" in found.what


def test_an_address_that_is_not_of_this_machine() -> None:
    found = the_one(check_port(ServerConfig(host="192.0.2.1", port=free_port())))
    assert found.level is Level.PROBLEM
    assert "server.host must be an address of this machine" in (found.remedy or "")


def test_open_to_the_network_without_a_key() -> None:
    assert the_one(check_open_to_the_network(ServerConfig(host="0.0.0.0"))).level is Level.PROBLEM
    assert the_one(check_open_to_the_network(ServerConfig())).level is Level.OK


def test_certificates(tmp_path: Path) -> None:
    pair, other = Authority(tmp_path).issue("server"), Authority(tmp_path, "other-ca").issue("other")
    config = ServerConfig(tls_certfile=pair.cert, tls_keyfile=pair.key)
    now = datetime.now(UTC)
    long_before = the_one(check_tls(config, now - timedelta(days=60)))
    assert long_before.level is Level.OK
    soon = the_one(check_tls(config))
    assert (soon.level, "ends on" in soon.what) == (Level.WARNING, True)
    ended = the_one(check_tls(config, now + timedelta(days=2)))
    assert (ended.level, "ended on" in ended.what) == (Level.PROBLEM, True)
    apart = the_one(check_tls(ServerConfig(tls_certfile=pair.cert, tls_keyfile=other.key)))
    assert (apart.level, "do not load" in apart.what) == (Level.PROBLEM, True)
    assert list(check_tls(ServerConfig())) == []
