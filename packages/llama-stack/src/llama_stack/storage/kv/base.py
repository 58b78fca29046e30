"""What all key-value backends share: the layout of keys, the limits, and the port bound to a tenant and a namespace."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator

from llama_stack.storage.errors import NotACounter
from llama_stack_api.errors import InvalidRequest, PayloadTooLarge
from llama_stack_api.ports.kv import KV

KEY_CHARS_MAX = 512
VALUE_BYTES_MAX = 1024 * 1024
SCOPE_CHARS_MAX = 256
TTL_S_MAX = 100 * 365 * 86400.0
COUNTER_MIN, COUNTER_MAX = -(2**63), 2**63 - 1


def encode_key(key: str) -> bytes:
    if not 1 <= len(key) <= KEY_CHARS_MAX:
        raise InvalidRequest(f"a KV key has 1 to {KEY_CHARS_MAX} characters, this one has {len(key)}")
    return _utf8(key)


def scope_prefix(tenant: str, server: str, namespace: str) -> bytes:
    """What every key of `namespace` of `tenant` starts with. All parts are escaped, so that no other scope yields the
    same prefix, or a prefix of it. `server` (may be empty) sets apart servers that share a store."""
    for part in (tenant, namespace):
        if not 1 <= len(part) <= SCOPE_CHARS_MAX:
            raise InvalidRequest(f"a KV tenant or namespace has 1 to {SCOPE_CHARS_MAX} characters, not {len(part)}")
    return _utf8(f"{_escape(tenant)}:{_escape(server)}:{_escape(namespace)}:")


def prefix_end(prefix: bytes) -> bytes:
    """The first key behind all that start with `prefix`, which is valid UTF-8 and so has no 0xFF to carry over."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


def parse_counter(value: bytes) -> int:
    """A counter is kept as decimal text. Raises `NotACounter`."""
    if not re.fullmatch(rb"-?(0|[1-9][0-9]{0,18})", value):
        raise NotACounter("the value under this key is not a counter")
    return int(value)


def check_counter(number: int) -> int:
    if not COUNTER_MIN <= number <= COUNTER_MAX:
        raise NotACounter("a counter holds a whole number of 64 bits; this addition would leave that range")
    return number


class KVBackend(ABC):
    """One store of keys and values in bytes. `bind` gives the port, which is all that others see.

    The operations behind `bind` take whole keys and valid values. Each is atomic, across processes where the store is
    shared; `StoreUnavailable` if the store does not answer in time. `server` is the `namespace` of the backend's
    configuration.
    """

    def __init__(self, *, server: str | None = None) -> None:
        self._server = server or ""

    @abstractmethod
    async def open(self) -> None: ...

    @abstractmethod
    async def close(self) -> None: ...

    def bind(self, tenant: str, namespace: str) -> KV:
        return BoundKV(self, scope_prefix(tenant, self._server, namespace))

    @abstractmethod
    async def sweep(self, rows_max: int) -> int:
        """Remove at most `rows_max` expired keys; how many went."""
        ...

    @abstractmethod
    async def get(self, key: bytes) -> bytes | None: ...

    @abstractmethod
    async def set(self, key: bytes, value: bytes, ttl_s: float | None) -> None: ...

    @abstractmethod
    async def delete(self, key: bytes) -> bool: ...

    @abstractmethod
    async def compare_and_set(self, key: bytes, expected: bytes | None, value: bytes, ttl_s: float | None) -> bool: ...

    @abstractmethod
    async def add(self, key: bytes, amount: int, ttl_s: float | None) -> int: ...

    @abstractmethod
    def scan(self, prefix: bytes) -> AsyncIterator[bytes]: ...


class BoundKV:
    """The port `KV` over a backend: it alone puts the tenant and the namespace before a key."""

    def __init__(self, backend: KVBackend, scope: bytes) -> None:
        self._backend = backend
        self._scope = scope

    async def get(self, key: str) -> bytes | None:
        return await self._backend.get(self._scope + encode_key(key))

    async def set(self, key: str, value: bytes, *, ttl_s: float | None = None) -> None:
        await self._backend.set(self._scope + encode_key(key), _checked(value), _checked_ttl(ttl_s))

    async def delete(self, key: str) -> bool:
        return await self._backend.delete(self._scope + encode_key(key))

    async def compare_and_set(
        self, key: str, expected: bytes | None, value: bytes, *, ttl_s: float | None = None
    ) -> bool:
        return await self._backend.compare_and_set(
            self._scope + encode_key(key), expected, _checked(value), _checked_ttl(ttl_s)
        )

    async def add(self, key: str, amount: int, *, ttl_s: float | None = None) -> int:
        return await self._backend.add(self._scope + encode_key(key), check_counter(amount), _checked_ttl(ttl_s))

    async def scan(self, prefix: str = "") -> AsyncIterator[str]:
        async for key in self._backend.scan(self._scope + _utf8(prefix)):
            yield key[len(self._scope) :].decode()


def _escape(part: str) -> str:
    return part.replace("%", "%25").replace(":", "%3A")


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest("a KV key is text that UTF-8 can encode; this one has a lone surrogate") from None


def _checked(value: bytes) -> bytes:
    if len(value) > VALUE_BYTES_MAX:
        raise PayloadTooLarge(f"a KV value has at most {VALUE_BYTES_MAX} bytes, this one has {len(value)}")
    return value


def _checked_ttl(ttl_s: float | None) -> float | None:
    if ttl_s is not None and not (math.isfinite(ttl_s) and 0 < ttl_s <= TTL_S_MAX):
        raise InvalidRequest(f"a KV ttl_s is above 0 and at most {TTL_S_MAX:.0f} seconds, not {ttl_s}")
    return ttl_s
