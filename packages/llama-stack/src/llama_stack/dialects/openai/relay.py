"""Relays a streamed completion: passes an upstream's bytes on, and reads only what must be known.

The relay never encodes what it did not have to change. It
- checks that every event is JSON in the shape of a chunk, so that rubbish becomes an error and not a client's problem,
- writes our model id in the place of the upstream's,
- takes the usage for metering, and takes out the usage chunk where the client did not ask for it,
- knows whether the stream is complete.

All events of a network read are decoded by one call, as one JSON array, into structs that skip all but four fields.
"""

from __future__ import annotations

from typing import Any

import msgspec

from llama_stack.dialects.openai import sse
from llama_stack.dialects.openai.errors import error_in_stream
from llama_stack.dialects.openai.usage import Usage, usage_of
from llama_stack_api.errors import ProviderStreamBroken


class _Choice(msgspec.Struct):
    index: int = 0
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None


_decode_chunks = msgspec.json.Decoder(list[_Chunk]).decode
_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_SEPARATOR = b"\n\ndata: "


class StreamRelay:
    """One stream. `provider` names the upstream in errors, `model` is the id that the client sees.

    `keep_usage`: the client asked for the usage chunk. After the end, `usage` holds what was counted, if anything.
    `identifier` takes the place of the upstream's completion id; then every chunk is encoded anew.
    """

    __slots__ = (
        "_finished",
        "_identifier",
        "_keep_usage",
        "_model",
        "_needles",
        "_open",
        "_provider",
        "_splitter",
        "done",
        "usage",
    )

    def __init__(self, *, provider: str, model: str, keep_usage: bool, identifier: str | None = None) -> None:
        self._provider = provider
        self._model = model
        self._keep_usage = keep_usage
        self._identifier = identifier
        self._splitter = sse.EventSplitter()
        self._needles: tuple[tuple[bytes, bytes], ...] | None = None
        self._open: set[int] = set()
        self._finished = False
        self.done = False
        self.usage: Usage | None = None

    def feed(self, data: bytes) -> bytes:
        """Whole events to send on, perhaps none. `ProviderError`s for rubbish and for an error event."""
        try:
            block = self._splitter.feed(data)
        except ValueError as error:
            raise ProviderStreamBroken(f"Provider '{self._provider}' broke the stream: {error}.") from None
        return self._relay(block) if block and not self.done else b""

    def finish(self) -> bytes:
        """To be called when the upstream has closed. `ProviderStreamBroken` if the stream is not complete."""
        tail = self._splitter.finish()
        last = self._relay(tail + b"\n\n") if tail and not self.done else b""
        if self.done:
            return last
        if self._finished and not self._open:
            # Some servers never send [DONE]; a finish reason for every choice is as good.
            self.done = True
            return last + sse.DONE
        raise ProviderStreamBroken(
            f"Provider '{self._provider}' closed the stream before the answer was complete; send the request again."
        )

    def _relay(self, block: bytes) -> bytes:
        body = block
        if body.endswith(sse.DONE):
            self.done = True
            body = body[: -len(sse.DONE)]
            if not body:
                return block
        if self._identifier is not None or not body.startswith(b"data: "):
            return self._relay_slowly(block)
        try:
            chunks = _decode_chunks(b"[" + body[6:-2].replace(_SEPARATOR, b",") + b"]")
        except msgspec.DecodeError:
            chunks = []
        if not chunks:
            return self._relay_slowly(block)
        counted = False
        for chunk in chunks:
            counted |= self._note(chunk)
        if counted and not self._keep_usage:
            events = body[:-2].split(b"\n\n")
            if len(events) != len(chunks):
                # Blank lines in unusual places: the chunks do not say where their events begin.
                return self._relay_slowly(block)
            block = _without_usage(events, chunks) + (sse.DONE if self.done else b"")
        return self._rename(block, chunks[0].model)

    def _relay_slowly(self, block: bytes) -> bytes:
        """Event by event: comments and other fields go, each event is judged by itself."""
        out = []
        for event in block.split(b"\n\n"):
            data = sse.data_of(event)
            if not data:
                continue
            if data == b"[DONE]":
                self.done = True
                out.append(sse.DONE)
                break
            try:
                chunk = _decode_chunk(data)
            except msgspec.DecodeError:
                self.done = False
                raise ProviderStreamBroken(
                    f"Provider '{self._provider}' sent something in the stream that is not a completion chunk."
                ) from None
            counted = self._note(chunk)
            if counted and not chunk.choices and not self._keep_usage:
                continue
            if self._identifier is None:
                out.append(self._rename(sse.encode(data), chunk.model))
            else:
                named = {**msgspec.json.decode(data), "id": self._identifier, "model": self._model}
                out.append(sse.encode(msgspec.json.encode(named)))
        return b"".join(out)

    def _note(self, chunk: _Chunk) -> bool:
        """Remember what the chunk says. True if it carries usage."""
        if chunk.error is not None:
            self.done = False
            raise error_in_stream(chunk.error, self._provider)
        for choice in chunk.choices or ():
            if choice.finish_reason is None:
                self._open.add(choice.index)
            else:
                self._open.discard(choice.index)
                self._finished = True
        if chunk.usage is None:
            return False
        self.usage = usage_of(chunk.usage) or self.usage
        return True

    def _rename(self, block: bytes, upstream_model: str | None) -> bytes:
        if self._needles is None:
            if upstream_model is None:
                return block
            self._needles = _needles(upstream_model, self._model)
        for needle, replacement in self._needles:
            if needle in block:
                # An upstream writes its JSON in one style: the other spelling need not be looked for again.
                self._needles = ((needle, replacement),)
                return block.replace(needle, replacement)
        return block


def _without_usage(events: list[bytes], chunks: list[_Chunk]) -> bytes:
    """The events that do more than report usage."""
    kept = [event for event, chunk in zip(events, chunks, strict=True) if chunk.choices or chunk.usage is None]
    return b"\n\n".join([*kept, b""]) if kept else b""


def _needles(old: str, new: str) -> tuple[tuple[bytes, bytes], ...]:
    """What to replace. Inside a JSON string every quote is escaped, so these bytes only ever are the member itself."""
    if old == new:
        return ()
    encoded = msgspec.json.encode(new)
    return tuple((b'"model":' + space + msgspec.json.encode(old), b'"model":' + encoded) for space in (b"", b" "))
