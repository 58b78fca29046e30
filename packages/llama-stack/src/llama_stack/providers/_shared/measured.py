"""A body that is counted and digested as it passes."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator


class Measured:
    """`size` and `sha256` are those of what has passed so far."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def __aiter__(self) -> Measured:
        return self

    async def __anext__(self) -> bytes:
        data = await anext(self._body)
        self._digest.update(data)
        self.size += len(data)
        return data
