"""SearXNG: a metasearch engine that one runs oneself, and that needs no key."""

from __future__ import annotations

from urllib.parse import urlencode

from llama_stack.providers._shared.keyed_service import Said, plain
from llama_stack.providers._shared.web_engine import EngineConfig, WebEngine, number_or_none, text_or_none, with_sites
from llama_stack_api.api import Api
from llama_stack_api.errors import LlamaStackError, ProviderError
from llama_stack_api.ports.http import HttpReply
from llama_stack_api.ports.tool_runtime import WebQuery, WebResult
from llama_stack_api.principal import Call
from llama_stack_api.provider import provider


class SearxngConfig(EngineConfig):
    base_url: str = "http://localhost:8888"
    """Where it answers `/search`."""


@provider(
    api=Api.tool_runtime,
    type="remote::searxng",
    description="Web search by a SearXNG instance of your own, whose settings allow the format json.",
    config=SearxngConfig,
    sample={"base_url": "${env.SEARXNG_URL:=http://localhost:8888}"},
    turned_on_by="SEARXNG_URL",
)
class Searxng(WebEngine):
    count_max = 50

    async def find(self, query: WebQuery, count: int, call: Call) -> list[WebResult]:
        parameters = {"q": with_sites(query), "format": "json", "categories": "general"}
        answer = await self.get_json(f"{self.base_url}/search?{urlencode(parameters)}", {}, call)
        return [
            WebResult(
                url=text_or_none(item.get("url")) or "",
                title=plain(item.get("title")),
                text=plain(item.get("content")),
                published=text_or_none(item.get("publishedDate")),
                score=number_or_none(item.get("score")),
            )
            for item in self.results(answer, "results")
        ]

    def refusal(self, reply: HttpReply, said: Said) -> LlamaStackError:
        if reply.status == 403:
            return ProviderError(
                f"Provider '{self.name}' refused the search (HTTP 403). SearXNG does so where the format json is off: "
                "add it to search.formats of its settings.yml.",
                upstream_status=403,
            )
        return super().refusal(reply, said)
