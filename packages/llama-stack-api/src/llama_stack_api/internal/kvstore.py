"""The key-value store that packages written for `llama-stack-api` 0.7 are handed."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class KVStore(Protocol):
    """Ranges include `start_key` and exclude `end_key`."""

    async def set(self, key: str, value: str, expiration: datetime | None = None) -> None: ...

    async def get(self, key: str) -> str | None: ...

    async def delete(self, key: str) -> None: ...

    async def values_in_range(self, start_key: str, end_key: str) -> list[str]: ...

    async def keys_in_range(self, start_key: str, end_key: str) -> list[str]: ...

    async def shutdown(self) -> None: ...
