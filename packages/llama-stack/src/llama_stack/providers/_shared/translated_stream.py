"""A stream of another dialect as the chunks of a chat completion.

What differs between upstreams is how bytes become events (`EventReader`) and how events become chunks (`ChunkMaker`, of
`dialects/`); that a stream is whole, readable and within its limits is seen to here, once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from typing import Any, Protocol

import msgspec

from llama_stack.dialects.openai import sse
from llama_stack.dialects.openai.errors import UNREADABLE
from llama_stack_api.errors import LlamaStackError, ProviderStreamBroken
from llama_stack_api.wire import EncodedStream

JsonObject = dict[str, Any]
ErrorOf = Callable[[JsonObject], LlamaStackError | None]
"""The error that an event amounts to; None for any other event."""

_decode = msgspec.json.Decoder(JsonObject).decode
_encode = msgspec.json.Encoder().encode

LINE_BYTES_MAX = 8 * 1024 * 1024
"""Of an event that ends with its line."""


class EventReader(Protocol):
    """Bytes as they come to events. `ValueError` says, as the end of a sentence, what cannot be read."""

    def feed(self, data: bytes) -> Iterable[JsonObject]: ...

    def finish(self) -> Iterable[JsonObject]:
        """What is left at the end of the stream."""
        ...


class ChunkMaker(Protocol):
    """Events of one answer to chunks of a chat completion."""

    @property
    def complete(self) -> bool:
        """Whether an event has ended the answer. Later ones may still bring the usage."""
        ...

    @property
    def over(self) -> bool:
        """Whether no event that matters can follow, so that the end need not be waited for."""
        ...

    def feed(self, event: JsonObject) -> list[JsonObject]: ...

    def finish(self) -> list[JsonObject]:
        """What is left to say of a complete answer, such as its usage."""
        ...


class SseEvents:
    """Server-sent events whose data are JSON objects; `[DONE]` is none."""

    def __init__(self) -> None:
        self._splitter = sse.EventSplitter()

    def feed(self, data: bytes) -> Iterator[JsonObject]:
        for event in self._splitter.feed(data).split(b"\n\n"):
            yield from self._object(event)

    def finish(self) -> Iterator[JsonObject]:
        yield from self._object(self._splitter.finish())

    def _object(self, event: bytes) -> Iterator[JsonObject]:
        data = sse.data_of(event) if event else b""
        if data and data != b"[DONE]":
            yield json_object(data)


class JsonLines:
    """A JSON object on each line."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[JsonObject]:
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = bytes(self._rest) + lines[0]
            self._rest.clear()
        self._rest += rest
        if len(self._rest) > LINE_BYTES_MAX:
            raise ValueError(f"a line is longer than {LINE_BYTES_MAX} bytes")
        yield from (json_object(line) for line in lines if line.strip())

    def finish(self) -> Iterator[JsonObject]:
        rest = bytes(self._rest)
        self._rest.clear()
        if rest.strip():
            yield json_object(rest)


def json_object(data: bytes) -> JsonObject:
    try:
        return _decode(data)
    except (*UNREADABLE, msgspec.ValidationError):
        raise ValueError("it sent an event that is no JSON object") from None


class TranslatedStream(EncodedStream):
    """`error_of` finds the errors that come with the status of a success. A read that makes no chunk is an empty block:
    a sign of life."""

    def __init__(
        self, source: EncodedStream, reader: EventReader, chunks: ChunkMaker, provider: str, error_of: ErrorOf
    ) -> None:
        self._source = source
        self._reader = reader
        self._chunks = chunks
        self._provider = provider
        self._error_of = error_of
        self._ended = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._translated()

    async def aclose(self) -> None:
        await self._source.aclose()

    def masked(self, text: str) -> str:
        return self._source.masked(text)

    async def _translated(self) -> AsyncIterator[bytes]:
        async for data in self._source:
            yield self._read(partial(self._reader.feed, data))
        yield self._read(self._reader.finish)
        if not self._chunks.complete:
            raise self._broken("it ended before the answer was complete")
        yield self._end()

    def _read(self, events: Callable[[], Iterable[JsonObject]]) -> bytes:
        try:
            return b"".join(map(self._event, events()))
        except ValueError as error:
            raise self._broken(f"{error}") from None

    def _event(self, event: JsonObject) -> bytes:
        if self._ended:
            return b""
        if (error := self._error_of(event)) is not None:
            raise error
        chunks = _encoded(self._chunks.feed(event))
        return chunks + self._end() if self._chunks.over else chunks

    def _end(self) -> bytes:
        if self._ended:
            return b""
        self._ended = True
        return _encoded(self._chunks.finish()) + sse.DONE

    def _broken(self, reason: str) -> ProviderStreamBroken:
        return ProviderStreamBroken(f"Provider '{self._provider}' broke the stream: {reason}.")


def _encoded(chunks: list[JsonObject]) -> bytes:
    return b"".join(sse.encode(_encode(chunk)) for chunk in chunks)
