"""Addresses that try to be what they are not: of another domain, or not those that the conversation named."""

from __future__ import annotations

import time
from typing import Any

import pytest

from llama_stack.net.domains import domain_of, host_of
from llama_stack.services.messages.server_tools.domains import DOMAINS_MAX, Domains
from llama_stack.services.messages.server_tools.web_fetch import addresses_in
from llama_stack_api.errors import InvalidRequest

PAGE = "https://example.com/Notes/page"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://\uff45xample.com/", "example.com"),
        ("http://example\u3002com/", "example.com"),
        ("http://EXAMPLE.com.:8080/", "example.com"),
        ("http://bücher.example/", "xn--bcher-kva.example"),
        ("http://good.example@example.com/", "example.com"),
        ("http://good.example:80@example.com/", "example.com"),
        ("http://example.com#@good.example/", "example.com"),
        ("http://example.com?@good.example/", "example.com"),
        ("http://exa\tmple.com/", "example.com"),
        ("http://example.com\\@good.example/", ""),
        ("http://[::1]/", "::1"),
        ("http://", ""),
        ("http://[", ""),
    ],
)
def test_the_host_of_an_address_is_the_one_that_is_asked(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    "said",
    ["example.com", "EXAMPLE.com.", "*.example.com", "https://example.com/", "example.com:8080", "\uff45xample.com/x"],
)
def test_what_callers_call_a_domain(said: str) -> None:
    assert domain_of(said) == "example.com"


@pytest.mark.parametrize(
    ("domain", "url", "is_of"),
    [
        ("example.com", "http://\uff45xample.com/", True),
        ("example.com:8080", "http://example.com/", True),
        ("bücher.example", "http://xn--bcher-kva.example/", True),
        ("example.com", "http://notexample.com/", False),
        ("example.com", "http://example.com.evil.example/", False),
        ("example.com", "http://example.com@evil.example/", False),
        ("example.com/blog", "http://example.com/blog/a", True),
        ("example.com/blog", "http://example.com/blog", True),
        ("example.com/blog", "http://example.com/blogger", False),
        ("example.com/blog", "http://example.com/blog/../admin", False),
        ("example.com/blog", "http://example.com/blog/%2e%2e/admin", False),
        ("example.com/blog", "http://example.com/%62log/a", True),
        ("example.com/*", "http://example.com/any/thing", True),
        ("example.com/*/articles", "http://example.com/en/articles/1", True),
        ("example.com/*/articles", "http://example.com/en/secrets", False),
    ],
)
def test_a_page_is_of_a_domain_or_it_is_not(domain: str, url: str, is_of: bool) -> None:
    assert Domains(allowed=(domain,)).admit(url) is is_of
    assert Domains(blocked=(domain,)).admit(url) is not is_of


def test_domains_have_a_limit() -> None:
    with pytest.raises(InvalidRequest, match=str(DOMAINS_MAX)):
        Domains.of({"blocked_domains": ["a.example"] * (DOMAINS_MAX + 1)})


def named(text: str) -> Any:
    return addresses_in([{"role": "user", "content": text}])


@pytest.mark.parametrize("asked", [PAGE, f"{PAGE}/", f"{PAGE}#part", "HTTPS://EXAMPLE.COM/Notes/page"])
def test_an_address_may_be_asked_for_as_it_is(asked: str) -> None:
    assert asked in named(f"Look at ({PAGE})., please")
    assert f"{PAGE}_(1)" in named(f"Look at {PAGE}_(1).")


@pytest.mark.parametrize(
    "asked", [f"{PAGE}!?", f"{PAGE}...", PAGE.lower(), f"{PAGE}//", f"{PAGE};:", f"{PAGE}?", PAGE[:-1]]
)
def test_a_model_cannot_send_off_what_it_knows_in_an_address(asked: str) -> None:
    """Neither in the case of letters, nor in signs behind the address."""
    assert asked not in named(f"Look at {PAGE} please")


def test_a_conversation_of_addresses_is_read_in_no_time() -> None:
    text = "http://a.example/b!!!!!!!! " * 40_000
    begun = time.process_time()
    assert "http://a.example/b" in named(text)
    assert time.process_time() - begun < 3
