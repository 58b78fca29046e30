"""A key-value store: small values, short lives, compare-and-set. Whatever has owners and versions lives in SQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol


class KV(Protocol):
    """One namespace of one tenant in a store; both are bound when the port is made, never passed by the caller.

    Keys are text of 1 to 512 characters, values bytes of at most 1 MiB. `ttl_s` is in seconds; None keeps for ever.
    An expired key does not exist, whether or not it was swept.
    """

    async def get(self, key: str) -> bytes | None: ...

    async def set(self, key: str, value: bytes, *, ttl_s: float | None = None) -> None: ...

    async def delete(self, key: str) -> bool:
        """True if the key existed."""
        ...

    async def compare_and_set(
        self, key: str, expected: bytes | None, value: bytes, *, ttl_s: float | None = None
    ) -> bool:
        """Write only if the present value is `expected` (None: only if there is none). True if written."""
        ...

    async def add(self, key: str, amount: int, *, ttl_s: float | None = None) -> int:
        """Add to a counter (0 if absent) atomically and return its new value. `ttl_s` holds from the first add."""
        ...

    def scan(self, prefix: str = "") -> AsyncIterator[str]:
        """The keys that start with `prefix`, in no given order."""
        ...
