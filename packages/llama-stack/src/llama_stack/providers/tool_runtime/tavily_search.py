"""Tavily: web search that reads the pages and gives extracts."""

from __future__ import annotations

from typing import Any, Final

from llama_stack.net.domains import domain_of
from llama_stack.providers._shared.keyed_service import Said, plain
from llama_stack.providers._shared.web_engine import KeyedConfig, WebEngine, number_or_none, text_or_none
from llama_stack_api.api import Api
from llama_stack_api.errors import LlamaStackError, RateLimited
from llama_stack_api.ports.http import HttpReply
from llama_stack_api.ports.tool_runtime import WebQuery, WebResult
from llama_stack_api.principal import Call
from llama_stack_api.provider import provider

QUERY_CHARS_MAX: Final = 400
DOMAINS_MAX: Final = 300
PLAN_SPENT: Final = (432, 433)
COUNTRIES: Final = {
    "AR": "argentina", "AT": "austria", "AU": "australia", "BE": "belgium", "BR": "brazil", "CA": "canada",
    "CH": "switzerland", "CL": "chile", "CN": "china", "CO": "colombia", "CZ": "czech republic", "DE": "germany",
    "DK": "denmark", "EG": "egypt", "ES": "spain", "FI": "finland", "FR": "france", "GB": "united kingdom",
    "GR": "greece", "HU": "hungary", "ID": "indonesia", "IE": "ireland", "IL": "israel", "IN": "india", "IT": "italy",
    "JP": "japan", "KE": "kenya", "KR": "south korea", "MX": "mexico", "MY": "malaysia", "NG": "nigeria",
    "NL": "netherlands", "NO": "norway", "NZ": "new zealand", "PE": "peru", "PH": "philippines", "PL": "poland",
    "PT": "portugal", "RO": "romania", "RU": "russia", "SA": "saudi arabia", "SE": "sweden", "SG": "singapore",
    "TH": "thailand", "TR": "turkey", "TW": "taiwan", "UA": "ukraine", "US": "united states", "VN": "vietnam",
    "ZA": "south africa",
}  # fmt: skip
"""Tavily's names of countries; one that it does not know would refuse the whole request."""


class TavilySearchConfig(KeyedConfig):
    base_url: str = "https://api.tavily.com"


@provider(
    api=Api.tool_runtime,
    type="remote::tavily-search",
    description="Web search by Tavily, with extracts of the pages; a high search context size makes it search deeper.",
    config=TavilySearchConfig,
    sample={"api_key": "${env.TAVILY_SEARCH_API_KEY:=}"},
    turned_on_by="TAVILY_SEARCH_API_KEY",
    data_keys={"tavily_search_api_key": "api_key"},
)
class TavilySearch(WebEngine):
    async def find(self, query: WebQuery, count: int, call: Call) -> list[WebResult]:
        key = self.key(call)
        body: dict[str, Any] = {
            "query": query.text[:QUERY_CHARS_MAX],
            "max_results": count,
            "search_depth": "advanced" if query.context_size == "high" else "basic",
        }
        if query.allowed_domains:
            body["include_domains"] = [domain_of(domain) for domain in query.allowed_domains[:DOMAINS_MAX]]
        country = COUNTRIES.get((query.location.country or "").upper()) if query.location else None
        if country:
            body["country"] = country
        headers = {"Authorization": f"Bearer {key}"}
        answer = await self.post_json(f"{self.base_url}/search", headers, body, call, secret=key)
        return [
            WebResult(
                url=text_or_none(item.get("url")) or "",
                title=plain(item.get("title")),
                text=plain(item.get("content")),
                published=text_or_none(item.get("published_date")),
                score=number_or_none(item.get("score")),
            )
            for item in self.results(answer, "results")
        ]

    def refusal(self, reply: HttpReply, said: Said) -> LlamaStackError:
        if reply.status in PLAN_SPENT:
            return RateLimited(f"Provider '{self.name}': the plan of its key is used up (HTTP {reply.status}).")
        return super().refusal(reply, said)
