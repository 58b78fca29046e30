"""A view of configuration that can be shown: listings, `config show`, logs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr

REDACTED = "********"
SECRET_CHARS_MIN = 6
"""A shorter one is no secret, and might be part of any word."""

_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+")
_SECRET_WORDS = frozenset(
    {
        "apikey",
        "authorization",
        "cookie",
        "credential",
        "credentials",
        "passphrase",
        "passwd",
        "password",
        "pwd",
        "secret",
        "secrets",
        "token",
    }
)
_SECRET_PAIRS = frozenset({("api", "key"), ("access", "key"), ("private", "key"), ("account", "key")})
_HARMLESS_ENDS = frozenset({"url", "uri", "endpoint", "file", "path", "env", "id", "type"})
_SECRET_PARAMETERS = frozenset({"key", "sig", "signature", "auth", "code"})
"""Names that are harmless as settings, and in a URL mostly are what opens it."""
_HEADER_MAPS = frozenset({"headers", "extra_headers", "default_headers"})
_URL_PASSWORD = re.compile(r"(://[^/?#\s:@]*:)[^/?#\s]*@")
_URL_PARAMETER = re.compile(r"([?&])([^=&?#\s]{1,64})=([^&#\s]+)")


def redact(value: Any) -> Any:
    """`value` as plain data with every secret replaced; what is empty stays empty, so that its absence shows.

    Secret is what is typed so, what stands under a key that names a secret, header values, and in URLs passwords and
    parameters that name a secret.
    """
    if isinstance(value, SecretStr | SecretBytes):
        return REDACTED if value.get_secret_value() else None
    if isinstance(value, BaseModel):
        return redact(dict(iter(value)))  # `dict(model)` would take a field `keys` for a method
    if isinstance(value, dict):
        return {str(key): _entry(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item) for item in value]
    if isinstance(value, str):
        return _redact_urls(value) if "://" in value else value
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)


def without_secrets(text: str, config: Any) -> str:
    """`text` as it can be shown, if it repeats secrets of `config` or has URLs that hold some."""
    found = {secret: shown for secret, shown in _hidden(config, redact(config)) if len(secret) >= SECRET_CHARS_MIN}
    for secret in sorted(found, key=len, reverse=True):  # one may be part of another
        text = text.replace(secret, found[secret])
    return _redact_urls(text)


def _hidden(value: Any, shown: Any) -> Iterator[tuple[str, str]]:
    """The texts of a config that are shown otherwise, with what is shown."""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, str) and isinstance(shown, str) and value != shown:
        yield value, shown
    elif isinstance(value, dict) and isinstance(shown, dict):
        for key, item in value.items():
            yield from _hidden(item, shown.get(str(key)))
    elif isinstance(value, list | tuple) and isinstance(shown, list):
        for item, item_shown in zip(value, shown, strict=True):
            yield from _hidden(item, item_shown)


def _redact_urls(text: str) -> str:
    def parameter(match: re.Match[str]) -> str:
        secret = match[2].lower() in _SECRET_PARAMETERS or names_secret(match[2])
        return f"{match[1]}{match[2]}={REDACTED}" if secret else match[0]

    return _URL_PARAMETER.sub(parameter, _URL_PASSWORD.sub(rf"\1{REDACTED}@", text))


def names_secret(key: str) -> bool:
    """True for `api_key`, `openaiApiKey`, `X-Auth-Token`, `client_secret` …; false for `max_tokens`, `token_url`."""
    words = [word.lower() for word in _WORDS.findall(key)]
    if words[-3:] == ["access", "key", "id"]:
        return True
    if not words or words[-1] in _HARMLESS_ENDS:
        return False
    return not _SECRET_WORDS.isdisjoint(words) or not _SECRET_PAIRS.isdisjoint(pairwise(words))


def _names_place(key: str) -> bool:
    """`key_file` under `secrets`: where the secret is, which is none."""
    return _WORDS.findall(key)[-1:] in (["file"], ["path"])


def _entry(key: str, value: Any) -> Any:
    if key in _HEADER_MAPS and isinstance(value, dict):
        return {str(name): _hide(item) for name, item in value.items()}
    return _hide(value) if names_secret(key) else redact(value)


def _hide(value: Any) -> Any:
    if isinstance(value, SecretStr | SecretBytes):
        return redact(value)
    if isinstance(value, BaseModel):
        return _hide(dict(iter(value)))
    if isinstance(value, dict):
        return {str(key): redact(item) if _names_place(str(key)) else _hide(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_hide(item) for item in value]
    return value if value is None or value == "" or isinstance(value, bool) else REDACTED
