"""`web_search`: a search by the configured tool runtime providers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from llama_stack.dialects.anthropic.client_tools import known_tool
from llama_stack.net.domains import domain_of
from llama_stack.services.messages.chat import Json
from llama_stack.services.messages.server_tools.domains import Domains
from llama_stack.services.messages.server_tools.kept import kept
from llama_stack.services.messages.server_tools.tool import (
    INVALID_INPUT,
    ToolFailed,
    Uses,
    server_tool_failure,
    server_tool_result,
    server_tool_use,
)
from llama_stack_api.errors import LlamaStackError
from llama_stack_api.ports.tool_runtime import UserLocation, WebQuery, WebResult
from llama_stack_api.principal import Call

QUERY_CHARS_MAX: Final = 2000
TITLE_CHARS_MAX: Final = 200


class SearchesWeb(Protocol):
    """Who is asked; `routing.tool_groups.WebSearchRouter`."""

    async def web_search(self, query: WebQuery, call: Call) -> list[WebResult]: ...


class WebSearch:
    """See `tool.ServerTool`. `chars_max`: of what is kept of all pages of one search."""

    counter = "web_search_requests"

    def __init__(self, tool: Json, search: SearchesWeb, *, chars_max: int) -> None:
        self.name: str = tool.get("name") or "web_search"
        self._search = search
        self._chars_max = chars_max
        self._domains = Domains.of(tool)
        self._uses = Uses(tool.get("max_uses"))
        place = tool.get("user_location")
        fields = ("country", "region", "city", "timezone")
        self._location = UserLocation(*map(place.get, fields)) if isinstance(place, dict) else None

    def definition(self) -> Json:
        known = known_tool("web_search_")
        assert known is not None
        return {"name": self.name, "description": known.description, "input_schema": known.parameters}

    def use(self) -> Json:
        return server_tool_use("web_search")

    async def result(self, use: Json, call: Call) -> Json:
        query = use["input"].get("query")
        if not isinstance(query, str) or not query.strip():
            raise ToolFailed(INVALID_INPUT)
        if len(query) > QUERY_CHARS_MAX:
            raise ToolFailed("query_too_long")
        self._uses.take()
        asked = WebQuery(query, allowed_domains=tuple(map(domain_of, self._domains.allowed)), location=self._location)
        found = [result for result in await self._search.web_search(asked, call) if self._domains.admit(result.url)]
        return server_tool_result(use, list(self._kept(found)))

    def failure(self, use: Json, error: LlamaStackError | ToolFailed) -> Json:
        return server_tool_failure(use, error)

    def _kept(self, found: list[WebResult]) -> Iterable[Json]:
        left = self._chars_max
        for place, result in enumerate(found):
            text = result.text[: left // (len(found) - place)]  # what one leaves over is for those after it
            left -= len(text)
            yield {
                "type": "web_search_result",
                "url": result.url,
                "title": result.title[:TITLE_CHARS_MAX] or result.url,
                "encrypted_content": kept(text),
                "page_age": result.published,
            }
