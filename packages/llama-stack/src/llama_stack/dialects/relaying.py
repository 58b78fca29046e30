"""What relays of streams share: blocks of whole events out of bytes that are split anywhere, up to the stream's end."""

from __future__ import annotations

from abc import ABC, abstractmethod

from llama_stack.dialects.openai.sse import EventSplitter
from llama_stack.dialects.openai.usage import Usage
from llama_stack_api.errors import ProviderStreamBroken


class BlockRelay(ABC):
    """`done`: the event came that makes the stream complete. `usage` is what was counted until then."""

    __slots__ = ("_provider", "_splitter", "done", "usage")

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._splitter = EventSplitter()
        self.done = False
        self.usage: Usage | None = None

    def feed(self, data: bytes) -> bytes:
        """Whole events to send on, perhaps none. `ProviderError`s for rubbish and for an error event."""
        try:
            block = self._splitter.feed(data)
        except ValueError as error:
            raise ProviderStreamBroken(f"Provider '{self._provider}' broke the stream: {error}.") from None
        return self._relay(block) if block and not self.done else b""

    @abstractmethod
    def finish(self) -> bytes:
        """To be called when the upstream has closed. `ProviderStreamBroken` if the stream is not complete."""

    @abstractmethod
    def _relay(self, block: bytes) -> bytes:
        """What a block of whole events becomes."""

    def _tail(self) -> bytes:
        """The last event, which may lack its empty line."""
        tail = self._splitter.finish()
        return self._relay(tail + b"\n\n") if tail and not self.done else b""
