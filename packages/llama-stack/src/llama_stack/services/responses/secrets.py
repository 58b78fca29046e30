"""What a request carries that may not be stored is taken out of it, to be sealed for its run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from llama_stack.agent.entries import Item
from llama_stack.agent.turn import Secrets, ServerSecrets
from llama_stack_api.principal import Call

TOOLS_OF_ITEMS = ("additional_tools", "tool_search_output")
"""Items that may bring tools along."""


def secrets_of(call: Call, tools: Iterable[Item], items: Iterable[Item], forwarded: Collection[str]) -> Secrets:
    """The secrets of a request; those of MCP tools are gone from `tools` and `items` afterwards.

    `forwarded` are the names of the headers that some provider passes on: no other is kept.
    """
    return Secrets(
        provider_data={name: value.get_secret_value() for name, value in call.provider_data.items()},
        forward_headers={name: call.forward_headers[name] for name in forwarded if name in call.forward_headers},
        servers=dict(_servers(_with_those_of_items(tools, items))),
    )


def _with_those_of_items(tools: Iterable[Item], items: Iterable[Item]) -> Iterator[Item]:
    yield from tools
    for item in items:
        if item["type"] in TOOLS_OF_ITEMS:
            yield from item["tools"]


def _servers(tools: Iterable[Item]) -> Iterator[tuple[str, ServerSecrets]]:
    for tool in tools:
        for place in ("container", "environment"):  # of tools that no part of this server runs
            if isinstance(within := tool.get(place), dict) and within.get("network_policy"):
                within["network_policy"].pop("domain_secrets", None)
        if tool.get("type") != "mcp":
            continue
        authorization, headers = tool.pop("authorization", None), tool.pop("headers", None) or {}
        if authorization or headers:
            yield tool["server_label"], ServerSecrets(authorization=authorization, headers=headers)
