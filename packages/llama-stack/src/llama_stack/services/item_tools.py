"""Tools that items bring along, and the secrets in definitions of tools."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from llama_stack.agent.entries import Item
from llama_stack.agent.turn import ServerSecrets, server_key

BRING_TOOLS: Final = frozenset({"additional_tools", "tool_search_output"})
"""Types of items that have `tools`."""

_WITH_NETWORK: Final = ("container", "environment")
"""Members of tools that no part of this server runs."""


def tools_of(items: Iterable[Item]) -> Iterator[Item]:
    for item in items:
        if item["type"] in BRING_TOOLS:
            yield from item["tools"]


def take_secrets(tools: Iterable[Item]) -> dict[str, ServerSecrets]:
    """Takes every secret out of definitions of tools; gives those of MCP servers, by `server_key`."""
    found = {}
    for tool in tools:
        for place in _WITH_NETWORK:
            if isinstance(within := tool.get(place), dict) and within.get("network_policy"):
                within["network_policy"].pop("domain_secrets", None)
        if tool.get("type") != "mcp":
            continue
        authorization, headers = tool.pop("authorization", None), tool.pop("headers", None) or {}
        if authorization or headers:
            found[server_key(tool)] = ServerSecrets(authorization=authorization, headers=headers)
    return found
