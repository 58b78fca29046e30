"""Connectors: MCP servers that requests may name by id."""

from enum import Enum
from typing import Annotated

from fastapi import Depends, FastAPI, Header, Query
from pydantic import SecretStr

from llama_stack.agent.tools.mcp_policy import check_headers
from llama_stack.http.routes.parts import CallOf
from llama_stack.services.connectors import ConnectorService
from llama_stack_api.connectors import (
    Connector,
    ConnectorDeleted,
    ConnectorTest,
    ListConnectorsResponse,
    ListToolsResponse,
    RegisterConnectorRequest,
)
from llama_stack_api.tools import ToolDef

PATH = "/v1beta/connectors"
THIS = PATH + "/{connector_id}"
TAGS: list[str | Enum] = ["Connectors"]


def _authorization(
    authorization: Annotated[
        SecretStr | None, Query(description="Like the header, which is better: an address ends up in logs.")
    ] = None,
    header: Annotated[
        SecretStr | None,
        Header(alias="Authorization-MCP", description="An OAuth access token for the MCP server, for this call alone."),
    ] = None,
) -> SecretStr | None:
    given = header or authorization
    if given is not None:
        check_headers({"Authorization": given.get_secret_value()}, "authorization")
    return given


Authorization = Annotated[SecretStr | None, Depends(_authorization)]


def add_connector_routes(app: FastAPI, connectors: ConnectorService) -> None:
    @app.get(PATH, tags=TAGS, summary="List the connectors.")
    async def list_connectors(call: CallOf) -> ListConnectorsResponse:
        return await connectors.list_connectors(call)

    @app.post(PATH, tags=TAGS, summary="Register a connector. Takes the role `operator` or `admin`.")
    async def register_connector(body: RegisterConnectorRequest, call: CallOf) -> Connector:
        return await connectors.register(body, call)

    @app.get(THIS, tags=TAGS, summary="Get a connector, with the health of its server.")
    async def get_connector(connector_id: str, call: CallOf, authorization: Authorization) -> Connector:
        return await connectors.get_connector(connector_id, call, authorization)

    @app.delete(THIS, tags=TAGS, summary="Remove a registered connector. Takes the role `operator` or `admin`.")
    async def delete_connector(connector_id: str, call: CallOf) -> ConnectorDeleted:
        return await connectors.delete(connector_id, call)

    @app.post(THIS + "/test", tags=TAGS, summary="Ask a connector's server for its tools, now.")
    async def test_connector(connector_id: str, call: CallOf, authorization: Authorization) -> ConnectorTest:
        return await connectors.test(connector_id, call, authorization)

    @app.get(THIS + "/tools", tags=TAGS, summary="List the tools of a connector's server.")
    async def list_connector_tools(connector_id: str, call: CallOf, authorization: Authorization) -> ListToolsResponse:
        return await connectors.list_tools(connector_id, call, authorization)

    @app.get(THIS + "/tools/{tool_name:path}", tags=TAGS, summary="Get one tool of a connector's server.")
    async def get_connector_tool(
        connector_id: str, tool_name: str, call: CallOf, authorization: Authorization
    ) -> ToolDef:
        return await connectors.get_tool(connector_id, tool_name, call, authorization)
