"""Vectors to OpenAI's reply, and the checks that every embedder inside the server makes of a request."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import msgspec

from llama_stack_api.errors import InvalidRequest, UnsupportedParameter
from llama_stack_api.openai.embeddings import EmbeddingsRequest, EmbeddingsResponse
from llama_stack_api.wire import EncodedReply

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SERVED = frozenset({"model", "input", "encoding_format", "dimensions", "user"})


def texts_of(params: EmbeddingsRequest, *, dimension: int) -> list[str]:
    """The texts to embed. Refuses by name what a model of one length of vector and its own tokenizer cannot honour."""
    refuse_unknown(params)
    if params.dimensions not in (None, dimension):
        raise UnsupportedParameter(
            f"Model '{params.model}' makes vectors of {dimension} numbers, and cutting them short would spoil them; "
            "leave out 'dimensions'.",
            param="dimensions",
        )
    texts = [params.input] if isinstance(params.input, str) else params.input
    checked = []
    for text in texts:
        if not isinstance(text, str):
            raise InvalidRequest(
                "'input' holds token ids. They belong to a tokenizer that this model does not have; send text "
                "(in LangChain: check_embedding_ctx_length=False).",
                param="input",
            )
        if not text:
            raise InvalidRequest("'input' must not be an empty text.", param="input")
        checked.append(text)
    return checked


def refuse_unknown(params: EmbeddingsRequest) -> None:
    """`UnsupportedParameter` for a parameter that no embedder here has."""
    for name in params.model_fields_set:
        if name not in SERVED:
            raise UnsupportedParameter(f"Model '{params.model}' does not support '{name}'.", param=name)


def reply_of(vectors: NDArray[np.float32], tokens: int, params: EmbeddingsRequest) -> EncodedReply[EmbeddingsResponse]:
    """`vectors`: (inputs, dimension). base64 holds little-endian 32-bit floats."""
    rows = vectors.astype("<f4", copy=False)
    if params.encoding_format == "base64":
        encoded: list[object] = [base64.b64encode(row.tobytes()).decode("ascii") for row in rows]
    else:
        encoded = rows.tolist()
    body = {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": one} for index, one in enumerate(encoded)],
        "model": params.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return EncodedReply(msgspec.json.encode(body), EmbeddingsResponse)
