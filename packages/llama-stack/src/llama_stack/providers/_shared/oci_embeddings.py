"""Embeddings by Oracle's `embedText`, which takes Cohere's models."""

from __future__ import annotations

from typing import Any

from llama_stack_api.errors import UnsupportedParameter
from llama_stack_api.openai.embeddings import EmbeddingsRequest

EMBEDDING_MODELS = {
    "cohere.embed-english-light-image-v3.0": 384,
    "cohere.embed-english-light-v2.0": 1024,
    "cohere.embed-english-light-v3.0": 384,
    "cohere.embed-english-image-v3.0": 1024,
    "cohere.embed-english-v3.0": 1024,
    "cohere.embed-multilingual-light-image-v3.0": 384,
    "cohere.embed-multilingual-light-v3.0": 384,
    "cohere.embed-multilingual-image-v3.0": 1024,
    "cohere.embed-multilingual-v3.0": 1024,
    "cohere.embed-v4.0": 1536,
}
"""The length of each model's vectors."""
INPUT_TYPE = "SEARCH_DOCUMENT"
"""What texts are embedded for unless the request says `input_type: search_query`."""
_OURS = {"input_type": "inputType", "truncate": "truncate"}


def embedding_request(params: EmbeddingsRequest, provider: str) -> dict[str, Any]:
    """The members of a request but for the model and the compartment."""
    inputs = [params.input] if isinstance(params.input, str) else params.input
    if not all(isinstance(item, str) for item in inputs):
        raise UnsupportedParameter(f"Provider '{provider}' embeds texts, not token ids.", param="input")
    if params.user is not None:
        raise UnsupportedParameter(f"Provider '{provider}' does not support 'user'.", param="user")
    body: dict[str, Any] = {"inputs": inputs, "inputType": INPUT_TYPE}
    if params.dimensions is not None:
        body["outputDimensions"] = params.dimensions
    for name, value in (params.model_extra or {}).items():
        body[_OURS.get(name, name)] = value.upper() if name in _OURS and isinstance(value, str) else value
    return body


def vectors_of(answer: Any) -> tuple[Any, int]:
    """What is said to be vectors, and the tokens that they cost. `AttributeError`, `KeyError`, `TypeError` or
    `ValueError` for an answer that holds none."""
    vectors = answer.get("embeddings") or answer["embeddingsByType"]["float"]
    return vectors, int((answer.get("usage") or {}).get("promptTokens") or 0)
