"""Connectors: MCP servers that the operator has configured, by id."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol, runtime_checkable

from llama_stack_api.base import WireModel
from llama_stack_api.tools import ToolDef


class ConnectorType(StrEnum):
    MCP = "mcp"


class ConnectorInput(WireModel):
    connector_type: ConnectorType = ConnectorType.MCP
    connector_id: str
    url: str
    server_label: str | None = None


class Connector(ConnectorInput):
    """With what the server said of itself when it was first reached."""

    server_name: str | None = None
    server_description: str | None = None
    server_version: str | None = None


class GetConnectorRequest(WireModel):
    connector_id: str


class ListConnectorToolsRequest(WireModel):
    connector_id: str


class GetConnectorToolRequest(WireModel):
    connector_id: str
    tool_name: str


class ListConnectorsResponse(WireModel):
    data: list[Connector]


class ListToolsResponse(WireModel):
    data: list[ToolDef]


@runtime_checkable
class Connectors(Protocol):
    """`authorization` is a bearer token for the MCP server, for this call alone."""

    async def list_connectors(self) -> ListConnectorsResponse: ...

    async def get_connector(self, request: GetConnectorRequest, authorization: str | None = None) -> Connector: ...

    async def list_connector_tools(
        self, request: ListConnectorToolsRequest, authorization: str | None = None
    ) -> ListToolsResponse: ...

    async def get_connector_tool(
        self, request: GetConnectorToolRequest, authorization: str | None = None
    ) -> ToolDef: ...
