"""API keys: where they are read from, whom they stand for, when they end."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest

from llama_stack.config.auth import ApiKey, ApiKeysAuth, AuthConfig
from llama_stack.security.authentication import (
    ApiKeys,
    NoAuthentication,
    authenticator_for,
    key_holder,
    new_key,
    presented_key,
)
from llama_stack_api.errors import Unauthenticated
from llama_stack_api.principal import ANONYMOUS


def entry(key: str, **more: Any) -> ApiKey:
    return ApiKey(id=more.pop("id", "ann"), hash=hashlib.sha256(key.encode()).hexdigest(), **more)


def bearer(key: str) -> dict[bytes, bytes]:
    return {b"authorization": f"Bearer {key}".encode()}


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({}, None),
        ({b"authorization": b"Bearer k"}, b"k"),
        ({b"authorization": b"bearer   k "}, b"k"),
        ({b"authorization": b"Basic k"}, None),
        ({b"authorization": b"Bearer"}, None),
        ({b"authorization": b"Bearer "}, None),
        ({b"x-api-key": b"k"}, b"k"),
        ({b"x-api-key": b""}, None),
        ({b"authorization": b"Bearer a", b"x-api-key": b"b"}, b"a"),
        # A wrong scheme is not made good by another header.
        ({b"authorization": b"Basic a", b"x-api-key": b"b"}, None),
    ],
)
def test_where_the_key_is(headers: dict[bytes, bytes], key: bytes | None) -> None:
    assert presented_key(headers) == key


def test_a_key_stands_for_its_principal() -> None:
    keys = ApiKeys([key_holder(entry("k", tenant="acme", attributes={"roles": ["admin", "dev"]}))])
    principal = keys.authenticate(bearer("k"))
    assert (principal.id, principal.tenant, principal.authenticated) == ("ann", "acme", True)
    assert principal.attributes == {"roles": ("admin", "dev")}
    assert keys.authenticate({b"x-api-key": b"k"}) == principal


@pytest.mark.parametrize("key", ["", "K", "k ", "kk", "x" * 100_000, hashlib.sha256(b"k").hexdigest()])
def test_other_keys_are_nobodys(key: str) -> None:
    keys = ApiKeys([key_holder(entry("k"))])
    with pytest.raises(Unauthenticated) as caught:
        keys.authenticate({b"x-api-key": key.encode()})
    assert key not in caught.value.message or not key.strip() or len(key) < 5


def test_a_key_ends() -> None:
    ends = datetime(2030, 1, 1, tzinfo=UTC)
    now = ends.timestamp() - 1
    keys = ApiKeys([key_holder(entry("k", expires_at=ends))], now=lambda: now)
    assert keys.authenticate(bearer("k")).id == "ann"
    now += 1
    with pytest.raises(Unauthenticated):
        keys.authenticate(bearer("k"))


def test_without_a_method_everybody_is_anonymous() -> None:
    for config in (None, AuthConfig()):
        made = authenticator_for(config)
        assert isinstance(made, NoAuthentication)
        assert made.authenticate(bearer("whatever")) is ANONYMOUS
        made.reload()


def test_keys_of_the_config() -> None:
    made = authenticator_for(AuthConfig(provider_config=ApiKeysAuth(keys=[entry("k")])))
    assert made.authenticate(bearer("k")).id == "ann"


def test_new_keys() -> None:
    first, second = new_key(), new_key()
    assert first.key != second.key
    assert first.key.startswith("sk-ls-")
    assert len(first.key) >= len("sk-ls-") + 43
    assert first.hash == f"sha256:{hashlib.sha256(first.key.encode()).hexdigest()}"
    assert first.key not in repr(first)
    keys = ApiKeys([key_holder(ApiKey(id="x", hash=first.hash))])
    assert keys.authenticate(bearer(first.key)).id == "x"
