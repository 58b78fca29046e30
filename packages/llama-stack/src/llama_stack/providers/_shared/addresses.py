"""Addresses in the configs of providers."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from llama_stack_api.errors import ModelNotFound


def segment(name: str, *, safe: str = "") -> str:
    """A model's name as one part of a path. `ModelNotFound` for what would lead to another."""
    if name in ("", ".", ".."):
        raise ModelNotFound(f"There is no model {name!r}.", param="model")
    return quote(name, safe=safe)


def checked_address(url: str) -> str:
    """The address as it is; `ValueError` unless it is one of HTTP, without credentials in it."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an address that starts with http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold credentials: put them into api_key or network.headers")
    return url
