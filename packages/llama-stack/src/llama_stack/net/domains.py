"""Domains as callers write them, and whether a page is of one."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit


def domain_of(said: str) -> str:
    """The host name in what a caller calls a domain: `https://example.com/` too."""
    host = host_of(said) if "://" in said else said.partition("/")[0]
    return (host or said).strip().lower().strip(".").removeprefix("*.")


def is_allowed(url: str, domains: Iterable[str]) -> bool:
    """Whether the page is of one of the domains, or of a subdomain of one; with none given, any is."""
    allowed = [domain_of(domain) for domain in domains]
    host = host_of(url)
    return not allowed or any(host == domain or host.endswith(f".{domain}") for domain in allowed)


def is_page(url: str) -> bool:
    return url.startswith(("http://", "https://")) and bool(host_of(url))


def host_of(url: str) -> str:
    """The host name of an address, in lower case; empty if it has none."""
    try:
        return (urlsplit(url).hostname or "").lower().rstrip(".")
    except ValueError:
        return ""
