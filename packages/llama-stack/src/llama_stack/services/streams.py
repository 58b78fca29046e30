"""Open streams of completions: their first block, their end, and their recording on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar

from pydantic import BaseModel

from llama_stack.dialects.relaying import BlockRelay
from llama_stack_api.errors import LlamaStackError, ProviderError
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.principal import Call
from llama_stack_api.wire import EncodedStream

T = TypeVar("T")

ENDING_S = 0.25
"""How long an upstream may take to end a reply whose last event has come: only then is its connection used again."""


class Ends(Protocol):
    """A stream on its way; `done` once its last event is through."""

    done: bool


class Recorder(Protocol):
    """Where completions with `store: true` go."""

    def check(self, request: ChatCompletionRequest) -> None:
        """`InvalidRequest` if the request could not be recorded: known before the model is asked."""
        ...

    async def record(self, request: ChatCompletionRequest, completion: bytes, call: Call) -> None:
        """`completion` is a chat completion as JSON."""
        ...

    async def record_stream(self, request: ChatCompletionRequest, events: bytes, call: Call) -> None:
        """`events` is a whole stream of its chunks."""
        ...


@dataclass(slots=True)
class OpenStream:
    """A stream whose first block is here, and with it the certainty that this provider answers."""

    first: bytes
    source: AsyncIterator[bytes]
    reply: EncodedStream | AsyncIterator[BaseModel]
    relay: BlockRelay
    first_byte_s: float


async def first_block(source: AsyncIterator[bytes], relay: BlockRelay) -> bytes:
    async for data in source:
        if block := relay.feed(data):
            return block
    return relay.finish()


async def begun(generator: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """The generator, of which the first item is taken, which has to be empty: closing one that has not begun would not
    run its clean-up."""
    await anext(generator)
    return generator


async def ended(source: AsyncIterator[bytes]) -> None:
    """Let the upstream end its reply. All that matters has been relayed: whatever goes wrong now is no error."""
    with suppress(LlamaStackError, TimeoutError):
        async with asyncio.timeout(ENDING_S):
            async for _ in source:
                pass


async def close(reply: EncodedStream | AsyncIterator[BaseModel], source: AsyncIterator[bytes]) -> None:
    for part in (source, reply):
        aclose = getattr(part, "aclose", None)
        if aclose is not None:
            await aclose()


async def recorded(
    blocks: AsyncGenerator[bytes, None],
    relay: Ends,
    recorder: Recorder,
    params: ChatCompletionRequest,
    call: Call,
    bytes_max: int,
) -> AsyncGenerator[bytes, None]:
    """Whoever has seen `[DONE]` can get the completion: it is stored before its last block goes out.

    As with `blocks`, the first block is empty.
    """
    events: list[bytes] = []
    is_recorded, size = False, 0
    try:
        yield await anext(blocks)
        async for block in blocks:
            events.append(block)
            size += len(block)
            if size > bytes_max:
                raise ProviderError(f"The answer is longer than {bytes_max} bytes, too long for 'store'; leave it out.")
            if relay.done and not is_recorded:
                is_recorded = True
                await recorder.record_stream(params, b"".join(events), call)
            yield block
    finally:
        await blocks.aclose()
