"""Brave's web search."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote, urlencode

from llama_stack.providers._shared.keyed_service import Said, plain
from llama_stack.providers._shared.web_engine import KeyedConfig, WebEngine, text_or_none, with_sites
from llama_stack_api.api import Api
from llama_stack_api.errors import LlamaStackError
from llama_stack_api.ports.http import HttpReply
from llama_stack_api.ports.tool_runtime import WebQuery, WebResult
from llama_stack_api.principal import Call
from llama_stack_api.provider import provider

QUERY_CHARS_MAX: Final = 400
QUERY_WORDS_MAX: Final = 50
COUNTRIES: Final = (
    "AR AU AT BE BR CA CL DK FI FR DE HK IN ID IT JP KR MY MX NL NZ NO CN PL PT PH RU SA ZA ES SE CH TW TR GB US"
)
"""Those that `country` takes; any other refuses the whole request."""
INVALID_KEY_CODES: Final = ("SUBSCRIPTION_TOKEN_INVALID", "SUBSCRIPTION_NOT_FOUND")
"""They come with HTTP 422."""


class BraveSearchConfig(KeyedConfig):
    base_url: str = "https://api.search.brave.com/res/v1"


@provider(
    api=Api.tool_runtime,
    type="remote::brave-search",
    description="Web search by Brave's own index.",
    config=BraveSearchConfig,
    sample={"api_key": "${env.BRAVE_SEARCH_API_KEY:=}"},
    turned_on_by="BRAVE_SEARCH_API_KEY",
    data_keys={"brave_search_api_key": "api_key"},
)
class BraveSearch(WebEngine):
    async def find(self, query: WebQuery, count: int, call: Call) -> list[WebResult]:
        key = self.key(call)
        words = " ".join(query.text.split()[:QUERY_WORDS_MAX])
        parameters = {
            "q": with_sites(WebQuery(words, allowed_domains=query.allowed_domains), QUERY_CHARS_MAX),
            "count": str(count),
            "text_decorations": "false",
            "result_filter": "web",
        }
        headers = {"Accept": "application/json", "X-Subscription-Token": key}
        if place := query.location:
            country = (place.country or "").upper()
            if country in COUNTRIES.split():
                parameters["country"] = country
            named = {"Country": country, "State-Name": place.region, "City": place.city, "Timezone": place.timezone}
            headers |= {f"X-Loc-{name}": quote(value, safe=" /") for name, value in named.items() if value}
        answer = await self.get_json(f"{self.base_url}/web/search?{urlencode(parameters)}", headers, call, secret=key)
        return [
            WebResult(
                url=text_or_none(item.get("url")) or "",
                title=plain(item.get("title")),
                text=_text(item),
                published=text_or_none(item.get("page_age")),
            )
            for item in self.results(answer, "web", "results")
        ]

    def refusal(self, reply: HttpReply, said: Said) -> LlamaStackError:
        if said.code in INVALID_KEY_CODES:
            return self.rejected(reply.status)
        return super().refusal(reply, said)


def _text(item: dict[str, Any]) -> str:
    """The description, and what plans of Brave's add to it."""
    more = item.get("extra_snippets")
    return " ".join(filter(None, map(plain, [item.get("description"), *(more if isinstance(more, list) else ())])))
