"""Lists of rows."""

from __future__ import annotations

from enum import StrEnum

from llama_stack_api.base import JsonObject, WireModel


class Order(StrEnum):
    asc = "asc"
    desc = "desc"


class PaginatedResponse(WireModel):
    data: list[JsonObject]
    has_more: bool
    url: str | None = None
