"""What Bedrock's listings say of its models and inference profiles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from llama_stack.dialects.chat.values import objects, strings
from llama_stack.dialects.converse.families import foundation_of, traits_of, vendor_of
from llama_stack_api.ports.inference import ModelType, ProviderModel

DIMENSIONS: Final[Mapping[str, int]] = {
    "amazon.titan-embed-text-v1": 1536,
    "amazon.titan-embed-g1-text-02": 1536,
    "amazon.titan-embed-text-v2:0": 1024,
    "amazon.titan-embed-image-v1": 1024,
    "amazon.nova-2-multimodal-embeddings-v1:0": 3072,
    "cohere.embed-english-v3": 1024,
    "cohere.embed-multilingual-v3": 1024,
    "cohere.embed-v4:0": 1536,
}
"""Numbers in a vector where a request does not say."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A model or profile of a listing. `foundation`: the model that answers, by its id. `modalities` that it takes;
    empty where the listing does not say."""

    id: str
    foundation: str
    modalities: frozenset[str] = frozenset()
    makes: frozenset[str] = frozenset()
    streams: bool = True
    on_demand: bool = True

    @property
    def type(self) -> ModelType | None:
        """None for what makes only images, sounds or films."""
        if ".rerank-" in self.foundation:
            return ModelType.rerank
        if "EMBEDDING" in self.makes or ".embed-" in self.foundation or "-embed-" in self.foundation:
            return ModelType.embedding
        return ModelType.llm if not self.makes or "TEXT" in self.makes else None

    @property
    def shown(self) -> ProviderModel | None:
        kind = self.type
        if kind is None:
            return None
        metadata: dict[str, Any] = {}
        if kind is ModelType.embedding and self.foundation in DIMENSIONS:
            metadata["embedding_dimension"] = DIMENSIONS[self.foundation]
        if kind is ModelType.llm and not traits_of(self.foundation).tools:
            metadata["tool_calling"] = False
        return ProviderModel(self.id, kind, metadata)


def listed_models(models: Iterable[Mapping[str, Any]], profiles: Iterable[Mapping[str, Any]]) -> list[Listed]:
    """All that can be called: models on demand, and profiles. A profile is what its first model is."""
    found = [_model(entry) for entry in models]
    by_id = {model.id: model for model in found}
    return [*(model for model in found if model.on_demand), *(_profile(entry, by_id) for entry in profiles)]


def foundation_in(profile: Mapping[str, Any]) -> str:
    """The model that a profile stands for; empty where it does not say."""
    first = next(iter(objects(profile.get("models"))), {})
    return foundation_of(str(first.get("modelArn") or ""))


def _model(entry: Mapping[str, Any]) -> Listed:
    name = str(entry.get("modelId") or "")
    return Listed(
        name,
        name,
        frozenset(strings(entry.get("inputModalities"))),
        frozenset(strings(entry.get("outputModalities"))),
        entry.get("responseStreamingSupported") is not False,
        "ON_DEMAND" in strings(entry.get("inferenceTypesSupported")),
    )


def _profile(entry: Mapping[str, Any], models: Mapping[str, Listed]) -> Listed:
    """AWS's own are called by their ids, an account's by their ARNs."""
    own = entry.get("type") == "APPLICATION"
    name = str((entry.get("inferenceProfileArn") if own else entry.get("inferenceProfileId")) or "")
    foundation = foundation_in(entry) or (foundation_of(name) if vendor_of(name) else "")
    known = models.get(foundation)
    if known is None:
        return Listed(name, foundation)
    return Listed(name, foundation, known.modalities, known.makes, known.streams)
