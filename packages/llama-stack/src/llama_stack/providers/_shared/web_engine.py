"""A search engine behind HTTP. A provider is a subclass with a descriptor, a config and a way to ask.

class Brave(WebEngine):
    async def find(self, query: WebQuery, count: int, call: Call) -> list[WebResult]: ...
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, SecretStr, model_validator

from llama_stack.net.domains import domain_of, is_allowed, is_page
from llama_stack.providers._shared.keyed_service import KeyedService, ServiceConfig
from llama_stack_api.errors import ProviderError
from llama_stack_api.ports.tool_runtime import ContextSize, WebQuery, WebResult
from llama_stack_api.principal import Call

DOMAINS_IN_QUERY_MAX = 8
"""More would push the words of the question out of what engines read of a query."""
_COUNTS: Mapping[ContextSize, int] = {"low": 3, "medium": 5, "high": 10}


class EngineConfig(ServiceConfig):
    """What every search engine takes."""

    max_results: int | None = Field(default=None, ge=1, le=50)
    """Results of a search. None: 3, 5 or 10, as the `search_context_size` is low, medium or high."""

    @model_validator(mode="before")
    @classmethod
    def _former_names(cls, data: Any) -> Any:
        """Keys of older run configs."""
        if not isinstance(data, dict):
            return data
        said = {key: value for key, value in data.items() if value not in (None, "")}
        for former, name in (("top_k", "max_results"), ("url", "base_url")):
            if former in said:
                said.setdefault(name, said.pop(former))
        return said


class KeyedConfig(EngineConfig):
    """What an engine takes that asks for a key."""

    api_key: SecretStr | None = None
    """None: requests must bring their own in `X-LlamaStack-Provider-Data`."""


class WebEngine(KeyedService):
    """The port `WebSearch` over `find`, which a provider writes."""

    config: EngineConfig
    count_max: ClassVar[int] = 20
    """Results that the engine gives at once."""

    async def web_search(self, query: WebQuery, call: Call) -> list[WebResult]:
        wanted = query.results_max or self.config.max_results or _COUNTS[query.context_size]
        # An engine may not honour the domains, so that some of its results are dropped below.
        count = min(self.count_max, wanted * 2 if query.allowed_domains else wanted)
        seen: dict[str, WebResult] = {}
        for result in await self.find(query, count, call):
            if is_page(result.url) and is_allowed(result.url, query.allowed_domains):
                seen.setdefault(result.url, result)
        return list(seen.values())[:wanted]

    async def find(self, query: WebQuery, count: int, call: Call) -> list[WebResult]:
        """At most about `count` results, as the engine gives them."""
        raise NotImplementedError

    def results(self, answer: Any, *path: str) -> list[dict[str, Any]]:
        """The objects in the list at `path` of an answer; none where nothing is. `ProviderError` if it is no list."""
        for name in path:
            answer = answer.get(name) if isinstance(answer, dict) else None
        if answer is None:
            return []
        if not isinstance(answer, list):
            raise ProviderError(f"Provider '{self.name}' answered with something that is not a list of results.")
        return [item for item in answer if isinstance(item, dict)]


def with_sites(query: WebQuery, chars_max: int | None = None) -> str:
    """The query with the operators by which engines keep to domains. Cut at `chars_max`, operators last."""
    domains = query.allowed_domains[:DOMAINS_IN_QUERY_MAX] if len(query.allowed_domains) <= DOMAINS_IN_QUERY_MAX else ()
    sites = " OR ".join(f"site:{domain}" for domain in map(domain_of, domains))
    sites = f" ({sites})" if len(domains) > 1 else f" {sites}" if sites else ""
    if chars_max is not None and len(sites) > chars_max // 2:
        sites = ""
    text = query.text if chars_max is None else query.text[: chars_max - len(sites)]
    return text + sites


def text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def number_or_none(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
