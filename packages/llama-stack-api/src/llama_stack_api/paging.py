"""Pages of a list, one after another by cursor: the id of an item of the page before."""

from __future__ import annotations

from typing import ClassVar, Generic, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, Field

from llama_stack_api.base import WireModel

T = TypeVar("T", bound=BaseModel)

Order: TypeAlias = Literal["asc", "desc"]

LIMIT_DEFAULT = 20
LIMIT_MAX = 100


class PageParams(WireModel):
    """Up to `limit` items that come behind the item `after`, by time of creation."""

    after: str | None = None
    limit: int = Field(default=LIMIT_DEFAULT, ge=1, le=LIMIT_MAX)
    order: Order = "desc"


class EitherPageParams(PageParams):
    """And, with `before`, that come before that item."""

    before: str | None = None


class Page(WireModel, Generic[T]):
    """`last_id` is the `after` of the next page, which exists if `has_more`. The ids are null in an empty page."""

    nulls_sent: ClassVar[frozenset[str]] = frozenset({"first_id", "last_id"})

    object: Literal["list"] = "list"
    data: list[T]
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool = False
