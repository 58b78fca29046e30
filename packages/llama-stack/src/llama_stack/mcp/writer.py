"""The SDK's side of a transport into which it writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

import anyio
from mcp.shared.message import SessionMessage


class MessageWriter(ABC):
    """A write stream as the SDK wants it. `take` is given each message, in the task of whoever sends it."""

    def __init__(self) -> None:
        self._is_closed = False

    @abstractmethod
    async def take(self, item: SessionMessage) -> None: ...

    async def send(self, item: SessionMessage, /) -> None:
        if self._is_closed:
            raise anyio.ClosedResourceError
        await self.take(item)

    async def aclose(self) -> None:
        self._is_closed = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.aclose()
