"""Typed replies of providers that build objects, as the bytes that go to a client.

Members that are None are left out, save for those that the contract requires and allows to be null.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from pydantic import BaseModel

from llama_stack.dialects.openai import sse

_NULLABLE_IN_CHOICE = {"text": ("finish_reason", "logprobs"), "message": ("logprobs",), "delta": ("finish_reason",)}


def encode_reply(reply: BaseModel) -> bytes:
    """A completion, a chunk or a list of embeddings as JSON."""
    whole: dict[str, Any] = reply.model_dump(mode="json", exclude_none=True, by_alias=True)
    for choice in whole.get("choices", ()):
        for kind, names in _NULLABLE_IN_CHOICE.items():
            if kind in choice:
                for name in names:
                    choice.setdefault(name, None)
        if "message" in choice:
            choice["message"].setdefault("content", None)
            choice["message"].setdefault("refusal", None)
    return msgspec.json.encode(whole)


async def encode_stream(chunks: AsyncIterator[BaseModel]) -> AsyncIterator[bytes]:
    """Each chunk as an event, `[DONE]` at the end."""
    async for chunk in chunks:
        yield sse.encode(encode_reply(chunk))
    yield sse.DONE
