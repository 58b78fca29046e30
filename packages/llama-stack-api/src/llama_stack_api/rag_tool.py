"""Retrieval as a tool: documents, how a query is made, how results are ranked."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from llama_stack_api.base import JsonObject, WireModel
from llama_stack_api.common.content_types import URL, InterleavedContent


class RAGDocument(WireModel):
    document_id: str
    content: InterleavedContent | URL
    mime_type: str | None = None
    metadata: JsonObject = Field(default_factory=dict)


class RAGQueryResult(WireModel):
    content: InterleavedContent | None = None
    metadata: JsonObject = Field(default_factory=dict)


class RAGQueryGenerator(StrEnum):
    default = "default"
    llm = "llm"
    custom = "custom"


class RAGSearchMode(StrEnum):
    VECTOR = "vector"
    KEYWORD = "keyword"
    HYBRID = "hybrid"


class DefaultRAGQueryGeneratorConfig(WireModel):
    type: Literal["default"] = "default"
    separator: str = " "


class LLMRAGQueryGeneratorConfig(WireModel):
    type: Literal["llm"] = "llm"
    model: str
    template: str


RAGQueryGeneratorConfig: TypeAlias = Annotated[
    DefaultRAGQueryGeneratorConfig | LLMRAGQueryGeneratorConfig, Field(discriminator="type")
]


class RRFRanker(WireModel):
    """Reciprocal rank fusion: the larger `impact_factor`, the less the first ranks count."""

    type: Literal["rrf"] = "rrf"
    impact_factor: float = Field(default=60.0, gt=0)


class WeightedRanker(WireModel):
    """`alpha` is the weight of the vector score, 1 - `alpha` that of the keyword score."""

    type: Literal["weighted"] = "weighted"
    alpha: float = Field(default=0.5, ge=0, le=1)


Ranker: TypeAlias = Annotated[RRFRanker | WeightedRanker, Field(discriminator="type")]


class RAGQueryConfig(WireModel):
    """`chunk_template` may hold `{index}`, `{chunk.content}` and `{metadata}`."""

    query_generator_config: RAGQueryGeneratorConfig = Field(default_factory=DefaultRAGQueryGeneratorConfig)
    max_tokens_in_context: int = 4096
    max_chunks: int = 5
    chunk_template: str = "Result {index}\nContent: {chunk.content}\nMetadata: {metadata}\n"
    mode: RAGSearchMode | None = RAGSearchMode.VECTOR
    ranker: Ranker | None = None
