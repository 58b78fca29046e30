"""Domains as callers write them, and whether a page is of one."""

from __future__ import annotations

from collections.abc import Iterable

from yarl import URL


def domain_of(said: str) -> str:
    """The host name in what a caller calls a domain: `https://example.com/` and `*.example.com:8080` too."""
    named = said.strip().rpartition("://")[2].removeprefix("*.")
    return host_of(f"http://{named}").strip(".") or named.lower()


def is_allowed(url: str, domains: Iterable[str]) -> bool:
    """Whether the page is of one of the domains, or of a subdomain of one; with none given, any is."""
    allowed = [domain_of(domain) for domain in domains]
    host = host_of(url)
    return not allowed or any(host == domain or host.endswith(f".{domain}") for domain in allowed)


def is_page(url: str) -> bool:
    return url.startswith(("http://", "https://")) and bool(host_of(url))


def host_of(url: str) -> str:
    """The host name of an address, as it is asked for: in lower case and ASCII. Empty if it has none."""
    try:
        return (URL(url).raw_host or "").lower().rstrip(".")
    except ValueError:
        return ""
