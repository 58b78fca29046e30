"""The tools of an MCP server that the run config names: in the provider's config, or in a tool group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, field_validator

from llama_stack.mcp.model import McpResult, McpServer, McpTool
from llama_stack_api.api import Api
from llama_stack_api.common.content_types import ImageContentItem, InterleavedContentItem, TextContentItem
from llama_stack_api.errors import NotFound
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext, provider
from llama_stack_api.tools import ToolDef, ToolInvocationResult


class ModelContextProtocolConfig(BaseModel):
    model_config = ConfigDict(extra="allow", defer_build=True, populate_by_name=True, hide_input_in_errors=True)

    mcp_endpoint: str | None = Field(default=None, validation_alias=AliasChoices("mcp_endpoint", "url"))
    """The server's address (streamable HTTP or SSE). None: tool groups bring theirs."""
    authorization: SecretStr | None = None
    """An access token, or a whole value of the Authorization header, for `mcp_endpoint`."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    """Sent with every request to `mcp_endpoint`."""

    @field_validator("mcp_endpoint", mode="before")
    @classmethod
    def _is_an_address(cls, value: Any) -> Any:
        if isinstance(value, dict):  # {"uri": …}, as in a tool group
            value = value.get("uri")
        if value in (None, ""):
            return None
        if not str(value).startswith(("http://", "https://")):
            raise ValueError("must be an address that starts with http:// or https://")
        return value


class AsksServers(Protocol):
    """The server's own MCP client, behind its egress guard: `llama_stack.mcp.client.McpClients`."""

    async def list_tools(self, server: McpServer, *, deadline: float | None = None) -> list[McpTool]: ...

    async def call_tool(
        self, server: McpServer, name: str, arguments: Mapping[str, Any], *, deadline: float | None = None
    ) -> McpResult: ...


@provider(
    api=Api.tool_runtime,
    type="remote::model-context-protocol",
    description="The tools of MCP servers that the run config names.",
    config=ModelContextProtocolConfig,
    api_dependencies=(Api.connectors,),
)
class ModelContextProtocol:
    def __init__(self, config: ModelContextProtocolConfig, context: ProviderContext) -> None:
        self.name = context.provider_id
        self._config = config
        self._clients: AsksServers = context.deps[Api.connectors]

    async def list_tools(self, call: Call) -> list[ToolDef]:
        return [] if self._config.mcp_endpoint is None else await self._list(self._server(call), call)

    async def list_endpoint_tools(self, endpoint: str, call: Call) -> list[ToolDef]:
        own = endpoint == self._config.mcp_endpoint
        server = McpServer(self.name, url=endpoint, trusted=True, scope=call.principal.tenant)
        return await self._list(self._server(call) if own else server, call)

    async def invoke_tool(self, name: str, arguments: Mapping[str, Any], call: Call) -> ToolInvocationResult:
        server = self._server(call)
        if all(tool.name != name for tool in await self._clients.list_tools(server, deadline=call.deadline)):
            raise NotFound(f"Provider '{self.name}' has no tool {name!r}.", param="tool_name")
        return _result(await self._clients.call_tool(server, name, arguments, deadline=call.deadline))

    async def _list(self, server: McpServer, call: Call) -> list[ToolDef]:
        return [
            ToolDef(
                name=tool.name,
                description=tool.description,
                input_schema=tool.input_schema,
                output_schema=tool.output_schema,
                metadata={"annotations": tool.annotations} if tool.annotations else None,
            )
            for tool in await self._clients.list_tools(server, deadline=call.deadline)
        ]

    def _server(self, call: Call) -> McpServer:
        if self._config.mcp_endpoint is None:
            raise NotFound(f"Provider '{self.name}' names no MCP server; set its mcp_endpoint in the run config.")
        token = self._config.authorization
        return McpServer(
            self.name,
            url=self._config.mcp_endpoint,
            headers={name: value.get_secret_value() for name, value in self._config.headers.items()},
            authorization=None if token is None else token.get_secret_value(),
            trusted=True,  # the operator's own words
            scope=call.principal.tenant,
        )


def _result(result: McpResult) -> ToolInvocationResult:
    metadata = None if result.structured is None else {"structured_content": result.structured}
    if result.is_error:
        return ToolInvocationResult(error_message=result.text or "The tool failed.", metadata=metadata)
    items: list[InterleavedContentItem] = []
    for block in result.content:
        resource = block.get("resource") or {}
        text = block.get("text", resource.get("text", block.get("uri")))
        if block.get("type") == "image":
            items.append(ImageContentItem.model_validate({"image": {"data": block.get("data")}}))
        elif isinstance(text, str):
            items.append(TextContentItem(text=text))
    return ToolInvocationResult(content=items, metadata=metadata)
