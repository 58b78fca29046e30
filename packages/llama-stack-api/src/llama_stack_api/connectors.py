"""Connectors: MCP servers by id, from the run config or registered by an operator."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, Protocol, runtime_checkable

from pydantic import Field, SecretStr

from llama_stack_api.base import Integer, Number, UnixTime, WireModel
from llama_stack_api.tools import ToolDef


class ConnectorType(StrEnum):
    MCP = "mcp"


class ConnectorInput(WireModel):
    connector_type: ConnectorType = ConnectorType.MCP
    connector_id: str
    url: str | None = None
    """None for a program that the server starts, which only the run config can name."""
    server_label: str | None = None


class ConnectorHealth(WireModel):
    """Whether the server answered when it was last asked, at most a short while ago; `unknown` if it was not asked."""

    status: Literal["ok", "error", "unknown"]
    message: str | None = None
    checked_at: UnixTime | None = None


class Connector(ConnectorInput):
    """With what the server said of itself when it was last reached."""

    server_name: str | None = None
    server_description: str | None = None
    server_version: str | None = None
    source: Literal["config", "registered"] = "config"
    created_at: UnixTime | None = None
    health: ConnectorHealth | None = None


class RegisterConnectorRequest(WireModel):
    """`authorization` (an OAuth access token, or a whole value of the Authorization header) and `headers` are sealed
    before they are stored, and never shown again."""

    connector_type: ConnectorType = ConnectorType.MCP
    connector_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    url: str | None = None
    server_label: str | None = Field(default=None, max_length=256)
    server_description: str | None = Field(default=None, max_length=4096)
    authorization: SecretStr | None = Field(default=None, max_length=8192)
    headers: dict[str, SecretStr] | None = None


class ConnectorTest(WireModel):
    """What came of asking a server for its tools. `latency_ms` counts the whole of it, connecting included."""

    connector_id: str
    status: Literal["ok", "error"]
    latency_ms: Number
    message: str | None = None
    server_name: str | None = None
    server_version: str | None = None
    tools_count: Integer | None = None


class ConnectorDeleted(WireModel):
    object: Literal["connector.deleted"] = "connector.deleted"
    id: str
    deleted: Literal[True] = True


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
