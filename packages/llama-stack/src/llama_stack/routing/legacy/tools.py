"""Tool runtime: the tools that it lists, and the search of the web where it says that it is one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from llama_stack.routing.legacy.calls import has
from llama_stack_api.common.content_types import TextContentItem
from llama_stack_api.errors import ProviderError
from llama_stack_api.ports.tool_runtime import WebQuery, WebResult
from llama_stack_api.principal import Call
from llama_stack_api.tools import ToolDef, ToolInvocationResult

Method = Callable[..., Any]
WEB_SEARCH_GROUP: Final = "builtin::websearch"
RESULTS_MAX: Final = 50
_LISTS = ("top_k", "results", "data")
_TEXTS = ("content", "snippet", "description", "text")


def tool_methods(
    impl: Any, without_call: Callable[[Method], Method], toolgroup_id: str | None
) -> Iterator[tuple[str, Method]]:
    adapter = _Tools(impl, without_call)
    if has(impl, "list_runtime_tools"):
        yield "list_tools", adapter.list_tools
    if has(impl, "invoke_tool"):
        yield "invoke_tool", adapter.invoke_tool
    if has(impl, "invoke_tool") and toolgroup_id == WEB_SEARCH_GROUP:
        yield "web_search", adapter.web_search


class _Tools:
    def __init__(self, impl: Any, without_call: Callable[[Method], Method]) -> None:
        self._impl = impl
        self._without_call = without_call

    async def list_tools(self, call: Call) -> list[ToolDef]:
        listed = await self._without_call(self._impl.list_runtime_tools)(call)
        return [ToolDef.model_validate(tool, from_attributes=True) for tool in getattr(listed, "data", listed) or ()]

    async def invoke_tool(self, name: str, arguments: Mapping[str, Any], call: Call) -> ToolInvocationResult:
        result = await self._without_call(self._impl.invoke_tool)(name, dict(arguments), call)
        return ToolInvocationResult.model_validate(result, from_attributes=True)

    async def web_search(self, query: WebQuery, call: Call) -> list[WebResult]:
        """By its tool `web_search`. It knows nothing of domains, so those of the query are kept afterwards."""
        result = await self.invoke_tool("web_search", {"query": query.text}, call)
        if result.error_message:
            raise ProviderError(f"The search failed: {result.error_message[:500]}")
        found = [each for each in _results(_text(result)) if _allowed(each.url, query.allowed_domains)]
        return found[: query.results_max or RESULTS_MAX]


def _text(result: ToolInvocationResult) -> str:
    content = result.content
    parts: list[Any] = content if isinstance(content, list) else [content]
    return "\n".join(part.text if isinstance(part, TextContentItem) else part for part in parts if part is not None)


def _results(text: str) -> Iterator[WebResult]:
    """Results as search tools of 0.7 write them: JSON, with a list of objects that have a `url`."""
    try:
        said = json.loads(text)
    except ValueError:
        raise ProviderError("The search tool answered with text that is no JSON, so it names no pages.") from None
    listed = (
        next((said[name] for name in _LISTS if isinstance(said.get(name), list)), [])
        if isinstance(said, dict)
        else said
    )
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict) and isinstance(each.get("url"), str):
            words = next((each[name] for name in _TEXTS if isinstance(each.get(name), str)), "")
            yield WebResult(url=each["url"], title=str(each.get("title") or each["url"]), text=words)


def _allowed(url: str, domains: tuple[str, ...]) -> bool:
    host = url.partition("://")[2].partition("/")[0].partition(":")[0].lower()
    return not domains or any(host == domain or host.endswith(f".{domain}") for domain in domains)
