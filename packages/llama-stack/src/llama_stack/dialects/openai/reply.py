"""A whole reply of an upstream, passed on as bytes: checked to be what it should be, our model id written into it."""

from __future__ import annotations

from typing import Any

import msgspec

from llama_stack.dialects.openai.errors import UNREADABLE, error_in_stream
from llama_stack.dialects.openai.usage import Usage, usage_of
from llama_stack_api.errors import ProviderError


class _Object(msgspec.Struct):
    """Any JSON object: nothing in it is read."""


class _Reply(msgspec.Struct):
    model: str | None = None
    usage: Any = None
    error: Any = None
    choices: list[_Object] = []
    data: list[_Object] = []


_decode = msgspec.json.Decoder(_Reply).decode


def relay_reply(body: bytes, *, provider: str, model: str, identifier: str | None = None) -> tuple[bytes, Usage | None]:
    """The body to send on and its usage. `ProviderError` if it is neither a completion nor a list of embeddings.

    `identifier` takes the place of the upstream's completion id.
    """
    try:
        return _relayed(body, provider, model, identifier)
    except UNREADABLE:
        raise ProviderError(f"Provider '{provider}' answered with something that is not the expected JSON.") from None


def _relayed(body: bytes, provider: str, model: str, identifier: str | None) -> tuple[bytes, Usage | None]:
    reply = _decode(body)
    if reply.error is not None:
        raise error_in_stream(reply.error, provider)
    if not reply.choices and not reply.data:
        raise ProviderError(f"Provider '{provider}' answered without 'choices' or 'data'.")
    usage = usage_of(reply.usage)
    if identifier is not None:
        return _encoded_anew(body, id=identifier, model=model), usage
    return _rename(body, reply.model, model), usage


def _rename(body: bytes, old: str | None, new: str) -> bytes:
    if old == new:
        return body
    if old is not None:
        encoded = msgspec.json.encode(old)
        for needle in (b'"model":' + encoded, b'"model": ' + encoded):
            if body.count(needle) == 1:
                return body.replace(needle, b'"model":' + msgspec.json.encode(new), 1)
    return _encoded_anew(body, model=new)


def _encoded_anew(body: bytes, **members: str) -> bytes:
    return msgspec.json.encode({**msgspec.json.decode(body), **members})
