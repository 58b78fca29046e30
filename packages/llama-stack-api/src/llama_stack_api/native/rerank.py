"""Rerank: order items by how well they answer a query."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field, Tag

from llama_stack_api.base import Integer, WireModel, by_type
from llama_stack_api.openai.chat_messages import ImagePart, TextPart

RerankPart: TypeAlias = Annotated[
    Annotated[TextPart, Tag("text")] | Annotated[ImagePart, Tag("image_url")], by_type("text", "image_url")
]

RerankItem: TypeAlias = Annotated[str | RerankPart, Field(union_mode="left_to_right")]


class RerankRequest(WireModel):
    model: str
    query: RerankItem
    items: list[RerankItem] = Field(min_length=1)
    max_num_results: Integer | None = Field(default=None, ge=1, description="All items where absent.")


class RerankData(WireModel):
    """`index` is the item's place in the request. Scores compare within one reply only."""

    index: int
    relevance_score: float


class RerankResponse(WireModel):
    """Best first."""

    data: list[RerankData]
