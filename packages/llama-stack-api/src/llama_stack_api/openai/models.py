"""The models that the server offers."""

from __future__ import annotations

from typing import Literal

from llama_stack_api.base import JsonObject, UnixTime, WireModel


class Model(WireModel):
    """One model. Beyond OpenAI's fields it says who serves it: `provider_id`, and there `provider_resource_id`."""

    id: str
    object: Literal["model"] | str = "model"
    created: UnixTime
    owned_by: str
    shutdown_date: str | None = None

    identifier: str | None = None
    type: Literal["model"] | None = None
    model_type: Literal["llm", "embedding", "rerank"] | str | None = None
    provider_id: str | None = None
    provider_resource_id: str | None = None
    metadata: JsonObject | None = None
    custom_metadata: JsonObject | None = None


class ModelList(WireModel):
    object: Literal["list"] | str = "list"
    data: list[Model]


class ModelDeleted(WireModel):
    id: str
    object: Literal["model"] | str = "model"
    deleted: bool
