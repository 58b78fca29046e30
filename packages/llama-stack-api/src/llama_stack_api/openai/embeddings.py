"""Embeddings: texts, or their token ids, to vectors."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from llama_stack_api.base import Integer, WireModel

INPUTS_MAX = 2048

TokenIds: TypeAlias = Annotated[list[Integer], Field(min_length=1, max_length=INPUTS_MAX)]

EmbeddingsInput: TypeAlias = Annotated[
    str
    | Annotated[list[str], Field(min_length=1, max_length=INPUTS_MAX)]
    | TokenIds
    | Annotated[list[Annotated[list[Integer], Field(min_length=1)]], Field(min_length=1, max_length=INPUTS_MAX)],
    Field(union_mode="left_to_right"),
]


class EmbeddingsRequest(WireModel):
    """`input` is one text or up to 2048, or the token ids of one or several."""

    model: str
    input: EmbeddingsInput
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Integer | None = Field(default=None, ge=1, description="Length of the vectors, where the model can.")
    user: str | None = None


class Embedding(WireModel):
    """`embedding` is a list of floats or, if base64 was asked for, little-endian 32-bit floats in base64."""

    index: int
    object: Literal["embedding"] | str = "embedding"
    embedding: Annotated[list[float] | str, Field(union_mode="left_to_right")]


class EmbeddingsUsage(WireModel):
    prompt_tokens: int = 0
    total_tokens: int = 0


class EmbeddingsResponse(WireModel):
    object: Literal["list"] | str = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingsUsage = Field(default_factory=EmbeddingsUsage)
