"""Vectors of an upstream's own embedding route as OpenAI's reply."""

from __future__ import annotations

import base64
import sys
from array import array
from typing import Any

import msgspec

from llama_stack_api.errors import ProviderError
from llama_stack_api.openai.embeddings import EmbeddingsRequest, EmbeddingsResponse
from llama_stack_api.wire import EncodedReply


def vectors_reply(
    vectors: Any, params: EmbeddingsRequest, tokens: int, provider: str
) -> EncodedReply[EmbeddingsResponse]:
    """One vector for each input, as lists of numbers. In base64 they are little-endian 32-bit floats."""
    inputs = len(params.input) if isinstance(params.input, list) else 1
    floats = [_floats(vector) for vector in vectors] if isinstance(vectors, list) else []
    if len(floats) != inputs or None in floats:
        raise ProviderError(f"Provider '{provider}' answered with something that is not vectors.")
    shown = [_base64(one) for one in floats if one is not None] if params.encoding_format == "base64" else vectors
    body = {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": one} for index, one in enumerate(shown)],
        "model": params.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return EncodedReply(msgspec.json.encode(body), EmbeddingsResponse)


def is_vector(value: Any) -> bool:
    return _floats(value) is not None


def _floats(vector: Any) -> array[float] | None:
    """None for what is no list of numbers."""
    try:
        return array("f", vector) if isinstance(vector, list) else None
    except (TypeError, OverflowError):
        return None


def _base64(floats: array[float]) -> str:
    if sys.byteorder == "big":
        floats.byteswap()
    return base64.b64encode(floats.tobytes()).decode("ascii")
