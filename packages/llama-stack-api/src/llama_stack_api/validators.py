"""Checks of requests that only some providers need."""

from __future__ import annotations

from llama_stack_api.errors import UnsupportedParameter
from llama_stack_api.openai.embeddings import EmbeddingsRequest


def validate_embeddings_input_is_text(params: EmbeddingsRequest) -> None:
    """`UnsupportedParameter` where the input is token ids."""
    first = params.input if isinstance(params.input, str) else params.input[0]
    if not isinstance(first, str):
        raise UnsupportedParameter(
            f"Model {params.model!r} takes text, not token ids; send a string or a list of strings.", param="input"
        )
