"""What items have in common."""

from __future__ import annotations

from typing import Literal, TypeAlias

from llama_stack_api.base import WireModel

ItemStatus: TypeAlias = Literal["in_progress", "completed", "incomplete"] | str


class BaseItem(WireModel):
    """An item. One type serves as input and as output: clients send back what they got, often without ids.

    Whatever a response or a conversation holds has an `id`, and where the item has a `status`, that too.
    """

    type: str
    id: str | None = None


class ToolCaller(WireModel):
    """Who called a tool: the model itself (`direct`), or the program `caller_id` that it wrote."""

    type: Literal["direct", "program"] | str
    caller_id: str | None = None
