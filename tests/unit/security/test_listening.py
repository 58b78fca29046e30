from __future__ import annotations

import pytest

from llama_stack.security.listening import OpenToTheNetwork, check_listening, is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LocalHost"])
def test_loopback_needs_nothing(host: str) -> None:
    assert is_loopback(host)
    check_listening(host, authenticated=False, allow_unauthenticated=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.4", "fe80::1%eth0", "myhost", "localhost.example"])
def test_the_network_needs_keys_or_the_words(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(OpenToTheNetwork, match="--allow-unauthenticated"):
        check_listening(host, authenticated=False, allow_unauthenticated=False)
    check_listening(host, authenticated=True, allow_unauthenticated=False)
    check_listening(host, authenticated=False, allow_unauthenticated=True)
