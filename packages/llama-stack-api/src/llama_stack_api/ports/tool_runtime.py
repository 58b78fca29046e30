"""What a tool runtime provider can do: search the web, or run tools of its own. It satisfies any subset.

A provider raises from `llama_stack_api.errors` and retries nothing: another provider is asked by whoever routes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from llama_stack_api.principal import Call
from llama_stack_api.tools import ToolDef, ToolInvocationResult

ContextSize: TypeAlias = Literal["low", "medium", "high"]


@dataclass(frozen=True, slots=True)
class UserLocation:
    """Where the user is, roughly. `country` is an ISO 3166-1 alpha-2 code, `timezone` an IANA name."""

    country: str | None = None
    region: str | None = None
    city: str | None = None
    timezone: str | None = None


@dataclass(frozen=True, slots=True)
class WebQuery:
    """What is searched for. `results_max` None: as the provider is configured, or as `context_size` suggests.

    Results are of `allowed_domains` and their subdomains only; none: of any.
    """

    text: str
    results_max: int | None = None
    allowed_domains: tuple[str, ...] = ()
    location: UserLocation | None = None
    context_size: ContextSize = "medium"


@dataclass(frozen=True, slots=True)
class WebResult:
    """A page. `text` is what the engine tells of it, without markup: a snippet or an extract. `published` is a date as
    the engine writes it; `score` the engine's own, comparable within one search."""

    url: str
    title: str
    text: str
    published: str | None = None
    score: float | None = None


@runtime_checkable
class WebSearch(Protocol):
    async def web_search(self, query: WebQuery, call: Call) -> list[WebResult]:
        """The best first. With the keys of `call` where it carries some."""
        ...


@runtime_checkable
class ToolInvocation(Protocol):
    async def list_tools(self, call: Call) -> list[ToolDef]: ...

    async def invoke_tool(self, name: str, arguments: Mapping[str, Any], call: Call) -> ToolInvocationResult:
        """`NotFound` for a tool that it does not list. A tool that ran and failed is a result with `error_message`."""
        ...


@runtime_checkable
class EndpointTools(Protocol):
    """A provider whose tools are elsewhere: at the endpoint that a tool group names."""

    async def list_endpoint_tools(self, endpoint: str, call: Call) -> list[ToolDef]: ...


TOOL_RUNTIME_PORTS: tuple[type, ...] = (WebSearch, ToolInvocation, EndpointTools)
"""A tool runtime provider satisfies at least one of these."""
