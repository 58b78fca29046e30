"""The MCP client: servers named by callers or by the operator. The SDK is imported at first use."""
