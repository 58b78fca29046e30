"""Relays what an upstream's Messages API answers: bytes go through, and only what must be known is read.

The relay
- checks that every event is JSON of a type, so that rubbish becomes an error and not a client's problem,
- writes the name that the client asked for in the place of the upstream's model,
- takes the usage for metering,
- knows that only `message_stop` makes a message complete.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from llama_stack.dialects.anthropic.errors import error_in_stream
from llama_stack.dialects.openai.errors import UNREADABLE
from llama_stack.dialects.openai.sse import data_of
from llama_stack.dialects.openai.usage import Usage
from llama_stack.dialects.relaying import BlockRelay
from llama_stack_api.errors import ProviderError, ProviderStreamBroken


class _Counts(msgspec.Struct, gc=False):
    input_tokens: float | None = None
    output_tokens: float | None = None
    cache_creation_input_tokens: float | None = None
    cache_read_input_tokens: float | None = None

    def all_read(self) -> int:
        """Tokens of the prompt, wherever they came from."""
        parts = (self.input_tokens, self.cache_creation_input_tokens, self.cache_read_input_tokens)
        return int(sum(part or 0 for part in parts))


class _Started(msgspec.Struct, gc=False):
    model: str | None = None
    usage: _Counts | None = None


class _Event(msgspec.Struct, gc=False):
    type: str
    message: _Started | None = None
    usage: _Counts | None = None
    error: Any = None


class _Object(msgspec.Struct, gc=False):
    """Any JSON object: nothing in it is read."""


class _Message(msgspec.Struct, gc=False):
    content: list[_Object] | None = None
    model: str | None = None
    usage: _Counts | None = None
    type: str | None = None


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_message = msgspec.json.Decoder(_Message).decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class EventRelay(BlockRelay):
    """One stream. `provider` names the upstream in errors, `model` is the name that the client sees.

    After the end, `usage` holds what was counted. `mask` takes secrets out of what the upstream says of an error.
    """

    __slots__ = ("_mask", "_model", "_read", "_written")

    def __init__(self, *, provider: str, model: str, mask: Callable[[str], str] = str) -> None:
        super().__init__(provider)
        self._model = model
        self._mask = mask
        self._read = self._written = 0

    def finish(self) -> bytes:
        last = self._tail()
        if self.done:
            return last
        raise ProviderStreamBroken(
            f"Provider '{self._provider}' closed the stream before the message was complete; send the request again."
        )

    def _relay(self, block: bytes) -> bytes:
        out = []
        for event in block.split(b"\n\n"):
            data = data_of(event)
            # Some servers end with OpenAI's mark, which is nothing here.
            if not data or data == b"[DONE]":
                continue
            out.append(self._event(event, data))
            if self.done:
                break
        return b"".join(out)

    def _event(self, event: bytes, data: bytes) -> bytes:
        try:
            said = _decode_event(data)
        except UNREADABLE:
            raise ProviderStreamBroken(
                f"Provider '{self._provider}' sent something in the stream that is not an event of a message."
            ) from None
        if said.type == "error":
            raise error_in_stream({"error": said.error}, self._provider, self._mask)
        if said.type == "message_start" and said.message is not None:
            self._count(said.message.usage)
            return _encoded(said.type, _renamed_start(data, self._model))
        self._count(said.usage)
        self.done = said.type == "message_stop"
        # SDKs pass over events without a name.
        return event + b"\n\n" if event.startswith(b"event:") else _encoded(said.type, data)

    def _count(self, counts: _Counts | None) -> None:
        """Counts are of the whole message so far; later ones may leave out what was told at the start."""
        if counts is None:
            return
        self._read = counts.all_read() or self._read
        self._written = int(counts.output_tokens or 0) or self._written
        self.usage = Usage(self._read, self._written)


def relay_message(body: bytes, *, provider: str, model: str) -> tuple[bytes, Usage | None]:
    """A whole message to send on under the name `model`, and its usage. `ProviderError` if it is none."""
    try:
        message, members = _decode_message(body), _decode_members(body)
    except UNREADABLE:
        raise ProviderError(f"Provider '{provider}' answered with something that is not the expected JSON.") from None
    if message.type == "error":
        raise error_in_stream(msgspec.json.decode(body), provider)
    if message.content is None:
        raise ProviderError(f"Provider '{provider}' answered without 'content'.")
    counts = message.usage
    usage = None if counts is None else Usage(counts.all_read(), int(counts.output_tokens or 0))
    if message.model == model:
        return body, usage
    return _with_model(members, model), usage


def _renamed_start(data: bytes, model: str) -> bytes:
    event = _decode_members(data)
    event["message"] = msgspec.Raw(_with_model(_decode_members(event["message"]), model))
    return msgspec.json.encode(event)


def _with_model(members: dict[str, msgspec.Raw], model: str) -> bytes:
    return msgspec.json.encode({**members, "model": msgspec.Raw(msgspec.json.encode(model))})


def _encoded(kind: str, data: bytes) -> bytes:
    # Data of several lines has its line breaks between members: within a string JSON has none.
    return b"event: " + kind.encode() + b"\ndata: " + data.replace(b"\n", b" ") + b"\n\n"
