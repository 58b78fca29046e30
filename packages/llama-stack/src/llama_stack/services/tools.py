"""The tools that there are: those of tool runtime providers, and of the connectors that a caller sees."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

from llama_stack.routing.tool_groups import ToolGroup
from llama_stack_api.connectors import ListConnectorsResponse, ListToolsResponse
from llama_stack_api.errors import LlamaStackError, NotFound, ProviderError, ProviderTimeout
from llama_stack_api.principal import Call
from llama_stack_api.tools import ListToolDefsResponse, ToolDef

LIST_TIMEOUT_S: Final = 10.0
"""Of one group; all are asked at the same time."""
GROUPS_AT_ONCE_MAX: Final = 16


class ListsConnectors(Protocol):
    """`services.connectors.ConnectorService`."""

    async def list_connectors(self, call: Call) -> ListConnectorsResponse: ...

    async def list_tools(self, connector_id: str, call: Call) -> ListToolsResponse: ...


class ToolService:
    """The tools of a connector are the group `mcp::<connector_id>`."""

    def __init__(self, groups: Sequence[ToolGroup], *, connectors: ListsConnectors | None = None) -> None:
        self._groups = groups
        self._connectors = connectors

    async def list_tools(self, call: Call, *, toolgroup_id: str | None = None) -> ListToolDefsResponse:
        """The tools of one group, or of all. `NotFound` for a group that is not there; a group that cannot be listed
        fails the request only if it is the one that is asked for."""
        groups = {group.id: group for group in [*await self._of_connectors(call), *self._groups]}
        if toolgroup_id is not None:
            if toolgroup_id not in groups:
                known = ", ".join(sorted(groups)) or "none"
                raise NotFound(f"There is no tool group {toolgroup_id!r}; there are: {known}.", param="toolgroup_id")
            return ListToolDefsResponse(data=await _tools_of(groups[toolgroup_id], call))
        free = asyncio.Semaphore(GROUPS_AT_ONCE_MAX)
        listed = await asyncio.gather(*(_tools_if_any(group, call, free) for group in groups.values()))
        return ListToolDefsResponse(data=[tool for tools in listed for tool in tools])

    async def _of_connectors(self, call: Call) -> list[ToolGroup]:
        if self._connectors is None:
            return []
        connectors = self._connectors

        async def list_tools(connector_id: str, call: Call) -> list[ToolDef]:
            return (await connectors.list_tools(connector_id, call)).data

        ids = [connector.connector_id for connector in (await connectors.list_connectors(call)).data]
        return [ToolGroup(f"mcp::{each}", each, functools.partial(list_tools, each)) for each in ids]


async def _tools_if_any(group: ToolGroup, call: Call, free: asyncio.Semaphore) -> list[ToolDef]:
    try:
        async with free:
            return await _tools_of(group, call)
    except LlamaStackError as error:
        logging.getLogger(__name__).warning("the tools of %s cannot be listed: %s", group.id, error.message)
        return []


async def _tools_of(group: ToolGroup, call: Call) -> list[ToolDef]:
    """Those of a group, under its id. Raises `LlamaStackError`s alone."""
    deadline = asyncio.get_running_loop().time() + LIST_TIMEOUT_S
    if call.deadline is not None:
        deadline = min(deadline, call.deadline)
    try:
        async with asyncio.timeout_at(deadline):
            tools = await group.list_tools(replace(call, deadline=deadline))
    except TimeoutError:
        raise ProviderTimeout(f"'{group.provider_id}' did not list its tools in time.") from None
    except LlamaStackError:
        raise
    except Exception as error:  # noqa: BLE001 - a provider's own code; whatever it raises, the others are listed
        raise ProviderError(f"'{group.provider_id}' could not list its tools ({type(error).__name__}).") from None
    return [tool.model_copy(update={"toolgroup_id": group.id}) for tool in tools]
