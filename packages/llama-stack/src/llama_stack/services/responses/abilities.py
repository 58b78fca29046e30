"""What the model of a response can do, as those who serve it know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from llama_stack.routing.table import Target
from llama_stack_api.ports.inference import TellsTools
from llama_stack_api.principal import Call


class ServedModel(Protocol):
    """Its targets are those who serve it, the first of which is asked first."""

    @property
    def targets(self) -> Sequence[Target]: ...

    @property
    def metadata(self) -> Mapping[str, Any]: ...


async def takes_tools(model: ServedModel, call: Call) -> bool:
    """Whether it can call tools: by the model's own `tool_calling` in the metadata, or as its first provider says. Who
    says nothing can."""
    known = model.metadata.get("tool_calling")
    if isinstance(known, bool):
        return known
    target = model.targets[0]
    if isinstance(target.provider, TellsTools):
        return await target.provider.takes_tools(target.provider_resource_id, call)
    return True


def context_length(model: ServedModel) -> int | None:
    """In tokens, where it is known."""
    known = model.metadata.get("context_length")
    return known if isinstance(known, int) and known > 0 else None
