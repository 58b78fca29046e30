"""What of a request's `file_search` can be refused before there is a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from llama_stack.agent.entries import Item
from llama_stack_api.errors import NotFound, UnsupportedParameter
from llama_stack_api.principal import Call

TYPE: Final = "file_search"
_CALLED: Final = ("function", "custom", "namespace", "mcp", "tool_search", "web_search")
"""Types of tools that only a model can decide to call; `web_search` has aliases with dates."""


class KnownStores(Protocol):
    async def check_known(self, vector_store_ids: Sequence[str], call: Call) -> None:
        """`NotFound` for a vector store that the caller does not have."""
        ...


async def check_stores(tools: Sequence[Item], stores: KnownStores | None, call: Call) -> None:
    if stores is None:
        return
    for place, tool in enumerate(tools):
        if tool["type"] == TYPE:
            try:
                await stores.check_known(tool["vector_store_ids"], call)
            except NotFound as error:
                error.param = f"tools[{place}].vector_store_ids"
                raise


def check_told(request: Mapping[str, Any]) -> None:
    """Of a model that cannot call tools, and can only be told what a search found before it is asked."""
    choice = request.get("tool_choice")
    if choice == "none":
        return
    for place, tool in enumerate(request["tools"]):
        if tool["type"].startswith(_CALLED):
            raise _unsupported(request, f"tools[{place}]", f"leave out the tool of type '{tool['type']}'")
    if isinstance(choice, dict) and choice.get("type") not in (TYPE, "allowed_tools"):
        raise _unsupported(request, "tool_choice", "leave out 'tool_choice'")


def _unsupported(request: Mapping[str, Any], param: str, what: str) -> UnsupportedParameter:
    return UnsupportedParameter(
        f"The model '{request['model']}' cannot call tools. Files can be searched for it (file_search), once before it "
        f"is asked; {what}, or use another model.",
        param=param,
    )
