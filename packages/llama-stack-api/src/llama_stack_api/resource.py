"""What is registered with the server under an id of its own and routed to a provider."""

from __future__ import annotations

from enum import StrEnum
from typing import Generic, TypeVar

from llama_stack_api.base import WireModel


class ResourceType(StrEnum):
    model = "model"
    shield = "shield"
    vector_store = "vector_store"
    tool = "tool"
    tool_group = "tool_group"
    prompt = "prompt"
    dataset = "dataset"
    scoring_function = "scoring_function"
    benchmark = "benchmark"


class Resource(WireModel):
    """`identifier` is ours; `provider_resource_id` is what the provider `provider_id` calls the same thing."""

    identifier: str
    provider_resource_id: str | None = None
    provider_id: str
    type: ResourceType


R = TypeVar("R", bound=Resource)


class ListResourcesResponse(WireModel, Generic[R]):
    data: list[R]
