"""Keys and values in the memory of this process: for tests, and for state that may be lost."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from itertools import islice
from typing import NamedTuple

from llama_stack.storage.kv.base import KVBackend, check_counter, parse_counter
from llama_stack.storage.sweeper import Sweeper
from llama_stack_api.errors import Overloaded

ENTRIES_MAX = 100_000


class _Entry(NamedTuple):
    value: bytes
    expires_at: float | None


class MemoryKV(KVBackend):
    """A dict. No operation awaits, so each is atomic."""

    def __init__(self, *, entries_max: int = ENTRIES_MAX, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._entries: dict[bytes, _Entry] = {}
        self._entries_max = entries_max
        self._clock = clock
        self._sweeper = Sweeper("memory KV", self.sweep)

    async def open(self) -> None:
        self._sweeper.start()

    async def close(self) -> None:
        await self._sweeper.stop()
        self._entries.clear()

    async def sweep(self, rows_max: int) -> int:
        expired = list(islice((key for key, entry in self._entries.items() if not self._lives(entry)), rows_max))
        for key in expired:
            del self._entries[key]
        return len(expired)

    async def get(self, key: bytes) -> bytes | None:
        entry = self._live(key)
        return entry and entry.value

    async def set(self, key: bytes, value: bytes, ttl_s: float | None) -> None:
        self._put(key, value, self._expiry(ttl_s))

    async def delete(self, key: bytes) -> bool:
        existed = self._live(key) is not None
        self._entries.pop(key, None)
        return existed

    async def compare_and_set(self, key: bytes, expected: bytes | None, value: bytes, ttl_s: float | None) -> bool:
        entry = self._live(key)
        if (entry and entry.value) != expected:
            return False
        self._put(key, value, self._expiry(ttl_s))
        return True

    async def add(self, key: bytes, amount: int, ttl_s: float | None) -> int:
        entry = self._live(key) or _Entry(b"0", self._expiry(ttl_s))
        total = check_counter(parse_counter(entry.value) + amount)
        self._put(key, b"%d" % total, entry.expires_at)
        return total

    async def scan(self, prefix: bytes) -> AsyncIterator[bytes]:
        for key in [key for key in self._entries if key.startswith(prefix)]:
            if self._live(key):
                yield key

    def _put(self, key: bytes, value: bytes, expires_at: float | None) -> None:
        if key not in self._entries and len(self._entries) >= self._entries_max:
            raise Overloaded(f"the KV store in memory is full ({self._entries_max} keys); configure a KV backend")
        self._entries[key] = _Entry(value, expires_at)

    def _live(self, key: bytes) -> _Entry | None:
        entry = self._entries.get(key)
        return entry if entry and self._lives(entry) else None

    def _lives(self, entry: _Entry) -> bool:
        return entry.expires_at is None or self._clock() < entry.expires_at

    def _expiry(self, ttl_s: float | None) -> float | None:
        return None if ttl_s is None else self._clock() + ttl_s
