from __future__ import annotations

import socket
from pathlib import Path

import pytest

from llama_stack.cli.failure import Failure
from llama_stack.cli.runner.listen import listen, shown_url, tls_context
from llama_stack.config.server import ServerConfig


def test_port_zero_takes_a_free_port_and_connections_wait_for_the_server() -> None:
    listener = listen("127.0.0.1", 0)
    try:
        assert listener.port > 0
        with socket.create_connection(("127.0.0.1", listener.port), timeout=2):
            pass
    finally:
        listener.close()


def test_a_port_in_use_names_the_settings() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Failure) as caught:
            listen("127.0.0.1", port)
    assert caught.value.what == f"port {port} of 127.0.0.1 is in use"
    assert caught.value.remedy is not None
    assert "--port or server.port" in caught.value.remedy


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(Failure, match=r"cannot listen on 192\.0\.2\.1"):
        listen("192.0.2.1", 0)


def test_a_name_that_does_not_resolve_is_refused() -> None:
    with pytest.raises(Failure, match=r"cannot listen on no-such-host\.invalid"):
        listen("no-such-host.invalid", 0)


@pytest.mark.parametrize("host", ["localhost", "", "0.0.0.0"])
def test_all_addresses_of_a_name_share_one_port(host: str) -> None:
    listener = listen(host, 0)
    try:
        assert {each.getsockname()[1] for each in listener.sockets} == {listener.port}
    finally:
        listener.close()


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:{}"), ("0.0.0.0", "http://127.0.0.1:{}"), ("localhost", "http://localhost:{}")],
)
def test_the_url_is_one_that_a_client_on_this_machine_can_use(host: str, url: str) -> None:
    listener = listen(host, 0)
    try:
        assert shown_url(ServerConfig(), listener) == url.format(listener.port)
    finally:
        listener.close()


def test_without_a_certificate_there_is_no_tls() -> None:
    assert tls_context(ServerConfig()) is None


def test_files_that_are_no_certificates_name_the_settings(tmp_path: Path) -> None:
    rubbish = tmp_path / "cert.pem"
    rubbish.write_text("not a certificate")
    for cert in (rubbish, tmp_path / "absent.pem"):
        with pytest.raises(Failure, match=r"server\.tls_certfile .* do not load"):
            tls_context(ServerConfig(tls_certfile=cert, tls_keyfile=rubbish))
