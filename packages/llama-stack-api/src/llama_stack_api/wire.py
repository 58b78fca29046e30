"""Replies that stay encoded: the bytes that an upstream sent, which the server relays without building objects.

A provider that speaks OpenAI's dialect upstream returns these; any other returns the typed objects. Both satisfy the
inference ports.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class EncodedReply(Generic[T]):
    """A whole reply as JSON bytes in the shape of `model`."""

    body: bytes
    model: type[T]

    def decode(self) -> T:
        return self.model.model_validate_json(self.body)


class EncodedStream(ABC):
    """A stream of server-sent events as bytes, split anywhere, exactly as the upstream sends them.

    It ends by `StopAsyncIteration` when the upstream closes, which need not mean that the stream is complete: the
    reader checks for the terminal event. Failures raise `ProviderError`s. `aclose()` cancels the upstream call at once.
    """

    @abstractmethod
    def __aiter__(self) -> AsyncIterator[bytes]: ...

    @abstractmethod
    async def aclose(self) -> None: ...

    def masked(self, text: str) -> str:
        """Words of the upstream about an error, without the secrets that were sent to it with the call."""
        return text
