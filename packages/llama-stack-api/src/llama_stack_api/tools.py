"""Tools that the server runs, and the groups that they come in."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal, Protocol, runtime_checkable

from llama_stack_api.base import JsonObject, WireModel
from llama_stack_api.common.content_types import URL, InterleavedContent
from llama_stack_api.resource import Resource, ResourceType


class ToolDef(WireModel):
    """`input_schema` and `output_schema` are JSON Schemas."""

    toolgroup_id: str | None = None
    name: str
    description: str | None = None
    input_schema: JsonObject | None = None
    output_schema: JsonObject | None = None
    metadata: JsonObject | None = None


class ToolGroup(Resource):
    type: Literal[ResourceType.tool_group] = ResourceType.tool_group
    mcp_endpoint: URL | None = None
    args: JsonObject | None = None


class ToolGroupInput(WireModel):
    toolgroup_id: str
    provider_id: str
    args: JsonObject | None = None
    mcp_endpoint: URL | None = None


class ToolInvocationResult(WireModel):
    content: InterleavedContent | None = None
    error_message: str | None = None
    error_code: int | None = None
    metadata: JsonObject | None = None


class ListToolGroupsResponse(WireModel):
    data: list[ToolGroup]


class ListToolDefsResponse(WireModel):
    data: list[ToolDef]


class SpecialToolGroup(StrEnum):
    rag_tool = "rag_tool"


class ToolStore(Protocol):
    async def get_tool(self, tool_name: str) -> ToolDef: ...

    async def get_tool_group(self, toolgroup_id: str) -> ToolGroup: ...


@runtime_checkable
class ToolGroups(Protocol):
    async def register_tool_group(
        self,
        toolgroup_id: str,
        provider_id: str,
        mcp_endpoint: URL | None = None,
        args: JsonObject | None = None,
    ) -> None: ...

    async def get_tool_group(self, toolgroup_id: str) -> ToolGroup: ...

    async def list_tool_groups(self) -> ListToolGroupsResponse: ...

    async def list_tools(self, toolgroup_id: str | None = None) -> ListToolDefsResponse: ...

    async def get_tool(self, tool_name: str) -> ToolDef: ...

    async def unregister_toolgroup(self, toolgroup_id: str) -> None: ...


@runtime_checkable
class ToolRuntime(Protocol):
    async def list_runtime_tools(
        self,
        tool_group_id: str | None = None,
        mcp_endpoint: URL | None = None,
        authorization: str | None = None,
    ) -> ListToolDefsResponse: ...

    async def invoke_tool(
        self, tool_name: str, kwargs: dict[str, Any], authorization: str | None = None
    ) -> ToolInvocationResult: ...
