"""Who searches the web, and which tools there are: the configured tool runtime providers, by group."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from llama_stack.routing.opening import OpenProvider
from llama_stack_api.api import Api
from llama_stack_api.errors import InvalidRequest, LlamaStackError, ProviderError, ProviderTimeout
from llama_stack_api.ports.tool_runtime import EndpointTools, ToolInvocation, WebQuery, WebResult, WebSearch
from llama_stack_api.principal import Call
from llama_stack_api.tools import ToolDef

WEB_SEARCH_GROUP: Final = "builtin::websearch"
HOW_TO_CONFIGURE: Final = (
    "Configure one under providers.tool_runtime of the run config: inline::web-search needs no key, "
    "remote::brave-search and remote::tavily-search need one, remote::searxng an instance of your own."
)


@dataclass(frozen=True, slots=True)
class SearchProvider:
    """A provider that searches the web. `data_key` is what a call may bring its key under; None: it needs no key.

    `built_in` providers are asked last: they come with the server, others were chosen.
    """

    id: str
    search: WebSearch
    data_key: str | None = None
    has_key: bool = False
    built_in: bool = False

    def is_usable(self, call: Call) -> bool:
        return self.data_key is None or self.has_key or self.data_key in call.provider_data


class WebSearchRouter:
    """Asks the first provider that can be asked, in the configured order; the next one where it fails."""

    def __init__(self, providers: Iterable[SearchProvider]) -> None:
        self._providers = sorted(providers, key=lambda each: each.built_in)

    @property
    def available(self) -> bool:
        """Whether there is a provider at all; each call may bring its key."""
        return bool(self._providers)

    async def web_search(self, query: WebQuery, call: Call) -> list[WebResult]:
        """`InvalidRequest` where nobody can be asked; where all fail, what the first one said."""
        usable = [provider for provider in self._providers if provider.is_usable(call)]
        if not usable:
            raise InvalidRequest(self._nobody(), code="web_search_not_configured")
        failures: list[LlamaStackError] = []
        for place, provider in enumerate(usable):
            share = _share(call, len(usable) - place)
            try:
                async with asyncio.timeout_at(share.deadline):
                    return await provider.search.web_search(query, share)
            except TimeoutError:
                failures.append(ProviderTimeout(f"Provider '{provider.id}' did not answer in time."))
            except LlamaStackError as error:
                failures.append(error)
            except Exception as error:  # noqa: BLE001 - a provider's own code; whatever it raises, another may do
                failures.append(ProviderError(f"Provider '{provider.id}' failed ({type(error).__name__})."))
        raise failures[0]

    def _nobody(self) -> str:
        if not self._providers:
            return f"No provider of web search is configured. {HOW_TO_CONFIGURE}"
        keys = " or ".join(sorted({provider.data_key for provider in self._providers if provider.data_key}))
        return (
            "No configured provider of web search has a key. Set its api_key in the run config, or send "
            f"{keys} in X-LlamaStack-Provider-Data."
        )


def _share(call: Call, providers: int) -> Call:
    """The call with a deadline that leaves time for those that come after."""
    if call.deadline is None or providers == 1:
        return call
    now = asyncio.get_running_loop().time()
    return replace(call, deadline=now + max(0.0, call.deadline - now) / providers)


@dataclass(frozen=True, slots=True)
class ToolGroup:
    """Tools under an id of ours. `list_tools` raises what the provider does."""

    id: str
    provider_id: str
    list_tools: Callable[[Call], Awaitable[Sequence[ToolDef]]]


@dataclass(frozen=True, slots=True)
class RegisteredToolGroup:
    """A `registered_resources.tool_groups` entry of the run config that names an MCP server."""

    toolgroup_id: str
    provider_id: str
    endpoint: str


def registered_tool_groups(entries: Iterable[Mapping[str, Any]]) -> list[RegisteredToolGroup]:
    """The entries that name an MCP server; all others follow from the providers."""
    found = []
    for entry in entries:
        endpoint = entry.get("mcp_endpoint")
        address = endpoint.get("uri") if isinstance(endpoint, Mapping) else endpoint
        group_id, provider_id = entry.get("toolgroup_id"), entry.get("provider_id")
        if isinstance(address, str) and isinstance(group_id, str) and isinstance(provider_id, str):
            found.append(RegisteredToolGroup(group_id, provider_id, address))
    return found


def search_providers(opened: Iterable[OpenProvider]) -> list[SearchProvider]:
    """The opened providers that search the web, in their order."""
    found = []
    for provider in opened:
        if provider.api == Api.tool_runtime and isinstance(provider.impl, WebSearch):
            data_key = next((key for key, field in provider.descriptor.data_keys.items() if field == "api_key"), None)
            found.append(
                SearchProvider(
                    provider.id,
                    provider.impl,
                    data_key=data_key,
                    has_key=getattr(provider.config, "api_key", None) is not None,
                    built_in=not provider.descriptor.is_remote,
                )
            )
    return found


def tool_groups(opened: Iterable[OpenProvider], registered: Iterable[RegisteredToolGroup] = ()) -> list[ToolGroup]:
    """The groups that follow from the providers, and those of the config whose provider can ask an MCP server.

    A provider's own group is `builtin::<name>`; that of one which asks an MCP server, `mcp::<provider_id>`. Where
    several providers serve a group, the first one lists it.
    """
    runtimes = {provider.id: provider for provider in opened if provider.api == Api.tool_runtime}
    groups: dict[str, ToolGroup] = {}
    for provider in runtimes.values():
        group = _own_group(provider)
        if group is not None:
            groups.setdefault(group.id, group)
    for entry in registered:
        named = runtimes.get(entry.provider_id)
        if named is not None and isinstance(named.impl, EndpointTools):
            listing = functools.partial(named.impl.list_endpoint_tools, entry.endpoint)
            groups[entry.toolgroup_id] = ToolGroup(entry.toolgroup_id, entry.provider_id, listing)
    return list(groups.values())


def _own_group(provider: OpenProvider) -> ToolGroup | None:
    if isinstance(provider.impl, WebSearch):
        return ToolGroup(WEB_SEARCH_GROUP, provider.id, _web_search_tools)
    if not isinstance(provider.impl, ToolInvocation):
        return None
    if isinstance(provider.impl, EndpointTools):
        group_id = f"mcp::{provider.id}"
    else:
        group_id = f"builtin::{provider.descriptor.name.replace('-', '_')}"
    return ToolGroup(group_id, provider.id, provider.impl.list_tools)


async def _web_search_tools(call: Call) -> list[ToolDef]:
    """What the server makes of providers that only search."""
    query = {"type": "string", "description": "What to search for."}
    schema = {"type": "object", "properties": {"query": query}, "required": ["query"]}
    return [ToolDef(name="web_search", description="Search the web.", input_schema=schema)]
