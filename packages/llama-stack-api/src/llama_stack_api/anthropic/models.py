"""The models that the server offers, as Anthropic lists them."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from llama_stack_api.base import JsonObject, WireModel


class ListParams(WireModel):
    """A page of a list: what comes behind the item `after_id`, or before the item `before_id`."""

    after_id: str | None = None
    before_id: str | None = None
    limit: int = Field(default=20, ge=1, le=1000)


class ModelInfo(WireModel):
    """Times are in ISO 8601; `created_at` is the epoch where it is not known."""

    nulls_sent: ClassVar[frozenset[str]] = frozenset(
        {"capabilities", "deprecated_at", "line", "max_input_tokens", "max_tokens", "retires_at"}
    )

    id: str
    type: Literal["model"] = "model"
    display_name: str
    created_at: str
    lifecycle: Literal["active", "deprecated", "retired"] | str = "active"
    deprecated_at: str | None = None
    retires_at: str | None = None
    line: str | None = None
    capabilities: JsonObject | None = None
    max_input_tokens: int | None = None
    max_tokens: int | None = None


class ModelInfoList(WireModel):
    nulls_sent: ClassVar[frozenset[str]] = frozenset({"first_id", "last_id"})

    data: list[ModelInfo]
    has_more: bool
    first_id: str | None = None
    last_id: str | None = None
