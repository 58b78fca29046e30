"""Relays a streamed completion: passes an upstream's bytes on, and reads only what must be known.

The relay never encodes what it did not have to change. It
- checks that every event is JSON in the shape of a chunk, so that rubbish becomes an error and not a client's problem,
- writes our model id in the place of the upstream's,
- takes the usage for metering, and takes out the usage chunk where the client did not ask for it,
- knows whether the stream is complete.

All events of a network read are decoded by one call, as one JSON array, into structs that skip all but four fields.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from llama_stack.dialects.openai import sse
from llama_stack.dialects.openai.errors import UNREADABLE, error_in_stream
from llama_stack.dialects.openai.usage import usage_of
from llama_stack.dialects.relaying import BlockRelay
from llama_stack_api.errors import ProviderStreamBroken


class _Choice(msgspec.Struct, gc=False):
    index: int = 0
    finish_reason: str | None = None


class _Chunk(msgspec.Struct, gc=False):
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None


_decode_chunks = msgspec.json.Decoder(list[_Chunk]).decode
_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_SEPARATOR = b"\n\ndata: "
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class StreamRelay(BlockRelay):
    """One stream. `provider` names the upstream in errors, `model` is the id that the client sees.

    `keep_usage`: the client asked for the usage chunk. After the end, `usage` holds what was counted, if anything.
    `identifier` takes the place of the upstream's completion id; then every chunk is encoded anew. `choices` is how
    many answers were asked for. `mask` takes secrets out of what the upstream says of an error.
    """

    __slots__ = (
        "_choices",
        "_ended",
        "_identifier",
        "_keep_usage",
        "_mask",
        "_member",
        "_model",
        "_needle",
        "_open",
        "_upstream_model",
    )

    def __init__(
        self,
        *,
        provider: str,
        model: str,
        keep_usage: bool,
        identifier: str | None = None,
        choices: int = 1,
        mask: Callable[[str], str] = str,
    ) -> None:
        super().__init__(provider)
        self._choices = choices
        self._mask = mask
        self._model = model
        self._keep_usage = keep_usage
        self._identifier = identifier
        self._member = b'"model":' + msgspec.json.encode(model)
        self._needle = b""
        self._upstream_model: str | None = None
        self._open: set[int] = set()
        self._ended: set[int] = set()

    def finish(self) -> bytes:
        last = self._tail()
        if self.done:
            return last
        if len(self._ended) >= self._choices and not self._open:
            # Some servers never send [DONE]; a finish reason for every choice is as good.
            self.done = True
            return last + sse.DONE
        raise ProviderStreamBroken(
            f"Provider '{self._provider}' closed the stream before the answer was complete; send the request again."
        )

    def _relay(self, block: bytes) -> bytes:
        body = block.removesuffix(sse.DONE)
        if not body:
            return self._ending()
        relayed = None
        if self._identifier is None and body.startswith(b"data: "):
            relayed = self._relay_at_once(body)
        if relayed is None:
            return self._relay_slowly(block)
        return relayed + self._ending() if len(body) < len(block) else relayed

    def _relay_at_once(self, body: bytes) -> bytes | None:
        """All events together; None if they have to be looked at one by one."""
        try:
            chunks = _decode_chunks(b"[" + body[6:-2].replace(_SEPARATOR, b",") + b"]")
        except UNREADABLE:
            return None
        counted, model = False, chunks[0].model if chunks else None
        for chunk in chunks:
            counted |= self._note(chunk)
            if chunk.model != model:
                model = None
        if not self._spelled(model, body):
            return None
        if counted and not self._keep_usage:
            kept = _without_usage(body, chunks)
            if kept is None:
                return None
            body = kept
        return body.replace(self._needle, self._member)

    def _relay_slowly(self, block: bytes) -> bytes:
        """Event by event: comments and other fields go, each event is judged by itself."""
        out = []
        for event in block.removeprefix(_BYTE_ORDER_MARK).split(b"\n\n"):
            data = sse.data_of(event)
            if not data:
                continue
            if data == b"[DONE]":
                out.append(self._ending())
                break
            try:
                chunk = _decode_chunk(data)
                counted = self._note(chunk)
                if counted and not chunk.choices and not self._keep_usage:
                    continue
                out.append(sse.encode(self._named(data, chunk.model)))
            except UNREADABLE:
                raise self._rubbish() from None
        return b"".join(out)

    def _note(self, chunk: _Chunk) -> bool:
        """Remember what the chunk says. True if it carries usage."""
        if chunk.error is not None:
            raise error_in_stream(chunk.error, self._provider, self._mask)
        for choice in chunk.choices or ():
            # Some servers write "" where others write null.
            if choice.finish_reason:
                self._open.discard(choice.index)
                self._ended.add(choice.index)
            elif choice.index not in self._ended:
                self._open.add(choice.index)
        if chunk.usage is None:
            if chunk.choices is None:
                raise self._rubbish()
            return False
        self.usage = usage_of(chunk.usage) or self.usage
        return True

    def _ending(self) -> bytes:
        """The stream says that it is complete; without any choice, it had nothing to complete."""
        if not self._open and not self._ended:
            raise ProviderStreamBroken(f"Provider '{self._provider}' ended the stream without an answer.")
        self.done = True
        return sse.DONE

    def _rubbish(self) -> ProviderStreamBroken:
        return ProviderStreamBroken(
            f"Provider '{self._provider}' sent something in the stream that is not a completion chunk."
        )

    def _spelled(self, model: str | None, block: bytes) -> bool:
        """Whether `_needle` is, or can be made, how `block` writes its model. Inside a JSON string every quote is
        escaped, so these bytes only ever are the member itself."""
        if model is None:
            return False
        if model == self._upstream_model and self._needle in block:
            return True
        for space in (b"", b" "):
            needle = b'"model":' + space + msgspec.json.encode(model)
            if needle in block:
                self._needle, self._upstream_model = needle, model
                return True
        return False

    def _named(self, data: bytes, model: str | None) -> bytes:
        """A chunk under our model id: written into it where it can be found, else encoded anew."""
        if self._identifier is None:
            if self._spelled(model, data):
                # Data of several lines has its line breaks between members: within a string JSON has none.
                return data.replace(b"\n", b" ").replace(self._needle, self._member)
            return msgspec.json.encode({**msgspec.json.decode(data), "model": self._model})
        return msgspec.json.encode({**msgspec.json.decode(data), "id": self._identifier, "model": self._model})


def _without_usage(body: bytes, chunks: list[_Chunk]) -> bytes | None:
    """The events that do more than report usage; None if it cannot be told where one begins.

    OpenAI reports usage once, in the last chunk: then the rest is one slice.
    """
    only_usage = [not chunk.choices and chunk.usage is not None for chunk in chunks]
    if True not in only_usage:
        return body
    if only_usage.index(True) == len(chunks) - 1:
        begin = body.rfind(b"\n\n", 0, len(body.rstrip(b"\n")))
        return body[: begin + 2] if begin >= 0 else b""
    events = body[:-2].split(b"\n\n")
    if len(events) != len(chunks):
        return None
    kept = [event for event, drop in zip(events, only_usage, strict=True) if not drop]
    return b"\n\n".join([*kept, b""]) if kept else b""
