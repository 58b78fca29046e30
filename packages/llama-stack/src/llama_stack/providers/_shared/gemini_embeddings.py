"""Embeddings of Google's models: what both of its APIs can be asked, and their vectors as OpenAI's reply."""

from __future__ import annotations

import base64
import math
import sys
from array import array
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import msgspec

from llama_stack.dialects.chat.values import Json, mapping, objects
from llama_stack.providers._shared.vectors_reply import is_vector
from llama_stack_api.errors import ProviderError, UnsupportedParameter
from llama_stack_api.openai.embeddings import EmbeddingsRequest, EmbeddingsResponse
from llama_stack_api.wire import EncodedReply

OWN = ("task_type", "title")
"""Google's own members, beside OpenAI's."""


def texts_of(params: EmbeddingsRequest, provider: str) -> list[str]:
    """The texts to embed. `UnsupportedParameter` names what Google's models cannot do."""
    for name in params.model_extra or ():
        if name not in OWN:
            raise UnsupportedParameter(f"Provider '{provider}' does not support '{name}'.", param=name)
    texts = [params.input] if isinstance(params.input, str) else params.input
    embedded = [text for text in texts if isinstance(text, str)]
    if len(embedded) < len(texts):
        raise UnsupportedParameter(f"Provider '{provider}' embeds texts in 'input', not token ids.", param="input")
    return embedded


def own_member(params: EmbeddingsRequest, name: str) -> Any:
    return (params.model_extra or {}).get(name)


def batches(texts: Iterable[str], size: int) -> Iterable[list[str]]:
    rest = iter(texts)
    while batch := list(islice(rest, size)):
        yield batch


def vectors_in(embeddings: Any, wanted: int, provider: str) -> list[list[float]]:
    """The `values` of each entry. `ProviderError` if there are not as many vectors as texts."""
    vectors = [entry.get("values") for entry in objects(embeddings)]
    found = [vector for vector in vectors if vector and is_vector(vector)]
    if len(found) != wanted:
        raise ProviderError(f"Provider '{provider}' answered with {len(found)} vectors for {wanted} texts.")
    return found


def tokens_in(metadata: Any) -> int:
    counted = mapping(metadata).get("promptTokenCount")
    return counted if isinstance(counted, int) else 0


def reply_of(
    vectors: Sequence[list[float]], tokens: int, params: EmbeddingsRequest
) -> EncodedReply[EmbeddingsResponse]:
    """`tokens`: of all texts, 0 where Google does not tell. A vector that was cut to `dimensions` has not the length
    one any more, as OpenAI's have: it is given that again."""
    shown = [_unit(vector) for vector in vectors] if params.dimensions is not None else vectors
    encoded: list[Any] = [_base64(vector) for vector in shown] if params.encoding_format == "base64" else list(shown)
    body: Json = {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": one} for index, one in enumerate(encoded)],
        "model": params.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return EncodedReply(msgspec.json.encode(body), EmbeddingsResponse)


def _unit(vector: list[float]) -> list[float]:
    length = math.hypot(*vector)
    return [value / length for value in vector] if length else vector


def _base64(vector: Sequence[float]) -> str:
    values = array("f", vector)
    if sys.byteorder == "big":
        values.byteswap()
    return base64.b64encode(values.tobytes()).decode("ascii")
