"""What goes wrong with an MCP server. The messages name the server by its label and hold no address or credential.

ProviderError
└── McpError                 502 mcp_error
    ├── McpUnreachable       502 mcp_unreachable: no connection, or it broke
    │   └── McpTimeout       504 mcp_timeout
    ├── McpHTTPError         502 mcp_http_error: an HTTP status (`upstream_status`) instead of an answer
    └── McpProtocolError     502 mcp_protocol_error: a JSON-RPC error (`rpc_code`), or one that breaks the protocol
"""

from __future__ import annotations

from llama_stack_api.errors import ProviderError


class McpError(ProviderError):
    """`sent` is False only if it is certain that the server has not taken the request."""

    default_code = "mcp_error"

    def __init__(self, message: str, *, upstream_status: int | None = None, sent: bool = True) -> None:
        super().__init__(message, upstream_status=upstream_status)
        self.sent = sent


class McpUnreachable(McpError):
    default_code = "mcp_unreachable"


class McpTimeout(McpUnreachable):
    status = 504
    default_code = "mcp_timeout"


class McpHTTPError(McpError):
    """The server answered with `upstream_status`: 401 and 403 mean that it refuses our credentials."""

    default_code = "mcp_http_error"

    def __init__(self, message: str, upstream_status: int, *, sent: bool = True) -> None:
        super().__init__(message, upstream_status=upstream_status, sent=sent)
        self.http_status = upstream_status


class McpProtocolError(McpError):
    """`rpc_code` is JSON-RPC's (-32602: unknown tool or bad arguments); None where the answer made no sense."""

    default_code = "mcp_protocol_error"

    def __init__(self, message: str, rpc_code: int | None = None, *, sent: bool = True) -> None:
        super().__init__(message, sent=sent)
        self.rpc_code = rpc_code
