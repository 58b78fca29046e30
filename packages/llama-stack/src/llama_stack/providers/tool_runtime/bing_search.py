"""Bing's web search API (version 7), and services that speak it."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from llama_stack.providers._shared.keyed_service import plain
from llama_stack.providers._shared.web_engine import KeyedConfig, WebEngine, text_or_none, with_sites
from llama_stack_api.api import Api
from llama_stack_api.ports.tool_runtime import WebQuery, WebResult
from llama_stack_api.principal import Call
from llama_stack_api.provider import provider

QUERY_CHARS_MAX: Final = 1500


class BingSearchConfig(KeyedConfig):
    base_url: str = "https://api.bing.microsoft.com/v7.0"


@provider(
    api=Api.tool_runtime,
    type="remote::bing-search",
    description="Web search by Bing's API, version 7. Microsoft has closed its own endpoint to new customers; set "
    "base_url to one that serves you.",
    config=BingSearchConfig,
    sample={"api_key": "${env.BING_SEARCH_API_KEY:=}"},
    turned_on_by="BING_SEARCH_API_KEY",
    data_keys={"bing_search_api_key": "api_key"},
)
class BingSearch(WebEngine):
    count_max = 50

    async def find(self, query: WebQuery, count: int, call: Call) -> list[WebResult]:
        key = self.key(call)
        parameters = {
            "q": with_sites(query, QUERY_CHARS_MAX),
            "count": str(count),
            "responseFilter": "Webpages",
            "textFormat": "Raw",
        }
        if query.location and query.location.country:
            parameters["cc"] = query.location.country.upper()
        answer = await self.get_json(
            f"{self.base_url}/search?{urlencode(parameters)}",
            {"Ocp-Apim-Subscription-Key": key},
            call,
            secret=key,
        )
        return [
            WebResult(
                url=text_or_none(item.get("url")) or "",
                title=plain(item.get("name")),
                text=plain(item.get("snippet")),
                published=text_or_none(item.get("datePublished")),
            )
            for item in self.results(answer, "webPages", "value")
        ]
