"""Who asks: API keys to principals.

Only hashes are kept. A key has 256 random bits, so a plain SHA-256 is enough: nothing can be guessed. The lookup by
digest tells an attacker nothing through its timing, because he cannot choose digests.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from llama_stack.config.auth import ApiKey, AuthConfig
from llama_stack.security.key_file import KeyFile
from llama_stack_api.errors import Unauthenticated
from llama_stack_api.principal import ANONYMOUS, Principal

KEY_PREFIX = "sk-ls-"
KEY_BYTES = 32
KEY_BYTES_MAX = 1024

NO_KEY = "No API key was given: send 'Authorization: Bearer <key>' or 'x-api-key: <key>'."
WRONG_KEY = "The API key is not known here, or no longer."


class Authenticator(Protocol):
    """`headers` have lower-case names, as ASGI gives them, so that HTTP and WebSocket need no difference."""

    def authenticate(self, headers: Mapping[bytes, bytes]) -> Principal:
        """`Unauthenticated` if it is nobody we know."""
        ...

    def reload(self) -> None:
        """Look now at what may have changed since the start: for SIGHUP."""
        ...


class NoAuthentication:
    """Everybody is `ANONYMOUS`."""

    def authenticate(self, headers: Mapping[bytes, bytes]) -> Principal:
        return ANONYMOUS

    def reload(self) -> None: ...


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """`digest` is the SHA-256 of the key, `expires_at` in Unix seconds."""

    digest: bytes
    principal: Principal
    expires_at: float | None = None


def key_holder(key: ApiKey) -> KeyHolder:
    attributes = {name: tuple(values) for name, values in key.attributes.items()}
    return KeyHolder(
        bytes.fromhex(key.hash.removeprefix("sha256:")),
        Principal(key.id, key.tenant, attributes),
        key.expires_at.timestamp() if key.expires_at else None,
    )


class ApiKeys:
    """`key_file` holds further keys, which may change while the server runs."""

    def __init__(
        self,
        holders: Iterable[KeyHolder],
        key_file: KeyFile | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._fixed = {holder.digest: holder for holder in holders}
        self._key_file = key_file
        self._now = now
        self._holders = self._fixed
        self._refresh()

    def authenticate(self, headers: Mapping[bytes, bytes]) -> Principal:
        key = presented_key(headers)
        if key is None:
            raise Unauthenticated(NO_KEY)
        if len(key) > KEY_BYTES_MAX:
            raise Unauthenticated(WRONG_KEY)
        self._refresh()
        holder = self._holders.get(hashlib.sha256(key).digest())
        if holder is None or (holder.expires_at is not None and holder.expires_at <= self._now()):
            raise Unauthenticated(WRONG_KEY)
        return holder.principal

    def reload(self) -> None:
        if self._key_file is not None:
            self._key_file.look_now()
        self._refresh()

    def _refresh(self) -> None:
        keys = self._key_file.changed() if self._key_file is not None else None
        if keys is not None:
            # What the config itself names cannot be taken over by a file.
            self._holders = {holder.digest: holder for holder in map(key_holder, keys)} | self._fixed


def presented_key(headers: Mapping[bytes, bytes]) -> bytes | None:
    """The key of `Authorization: Bearer` or, without that header, of `x-api-key`."""
    authorization = headers.get(b"authorization")
    if authorization is not None:
        scheme, _, key = authorization.partition(b" ")
        return (key.strip() or None) if scheme.lower() == b"bearer" else None
    return headers.get(b"x-api-key") or None


@dataclass(frozen=True, slots=True)
class NewKey:
    """`key` is shown once, to whoever will use it; `hash` goes into the config."""

    key: str
    hash: str

    def __repr__(self) -> str:
        return f"NewKey(hash={self.hash!r})"


def new_key() -> NewKey:
    key = KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)
    return NewKey(key, f"sha256:{hashlib.sha256(key.encode()).hexdigest()}")


def authenticator_for(auth: AuthConfig | None) -> Authenticator:
    """What `server.auth` asks for. Raises `KeyFileUnreadable` if its key file cannot be read."""
    method = auth.provider_config if auth is not None else None
    if method is None:
        return NoAuthentication()
    key_file = KeyFile(method.file) if method.file is not None else None
    return ApiKeys([key_holder(key) for key in method.keys], key_file)
