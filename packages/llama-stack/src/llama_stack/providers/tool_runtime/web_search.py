"""Web search without a key: the page of results that an engine shows to people, read by a program.

For a laptop, not for a service: such engines slow down or refuse who asks often, and say so by a page of another kind.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlencode

from llama_stack.providers._shared.keyed_service import REPLY_BYTES_MAX, Said
from llama_stack.providers._shared.web_engine import EngineConfig, WebEngine, with_sites
from llama_stack.providers._shared.web_page import ResultsPage
from llama_stack_api.api import Api
from llama_stack_api.errors import LlamaStackError, ProviderError, RateLimited
from llama_stack_api.ports.http import HttpReply
from llama_stack_api.ports.tool_runtime import WebQuery, WebResult
from llama_stack_api.principal import Call
from llama_stack_api.provider import HealthResponse, HealthStatus, provider

REGIONS: Final = {
    "AR": "ar-es", "AT": "at-de", "AU": "au-en", "BE": "be-fr", "BR": "br-pt", "CA": "ca-en", "CH": "ch-de",
    "CL": "cl-es", "CN": "cn-zh", "CZ": "cz-cs", "DE": "de-de", "DK": "dk-da", "ES": "es-es", "FI": "fi-fi",
    "FR": "fr-fr", "GB": "uk-en", "GR": "gr-el", "HU": "hu-hu", "IE": "ie-en", "IL": "il-he", "IN": "in-en",
    "IT": "it-it", "JP": "jp-jp", "KR": "kr-kr", "MX": "mx-es", "NL": "nl-nl", "NO": "no-no", "NZ": "nz-en",
    "PL": "pl-pl", "PT": "pt-pt", "RO": "ro-ro", "RU": "ru-ru", "SE": "se-sv", "TR": "tr-tr", "TW": "tw-tzh",
    "UA": "ua-uk", "US": "us-en", "ZA": "za-en",
}  # fmt: skip
"""DuckDuckGo's names of countries with their language."""
HEADERS: Final = {"Accept": "text/html", "User-Agent": "Mozilla/5.0 (compatible; llama-stack)"}
CHALLENGES: Final = (b"anomaly-modal", b"anomaly.js", b"captcha", b"unusual traffic", b"challenge-form")
_SEARCH_FIELD: Final = re.compile(rb"<input[^>]{0,300}\bname=[\"']?q\b")
"""What every page of results has, one without results too."""


class WebSearchConfig(EngineConfig):
    base_url: str = "https://html.duckduckgo.com/html/"
    """A page that takes the query as the parameter `q` and answers with results as HTML."""


@provider(
    api=Api.tool_runtime,
    type="inline::web-search",
    description="Web search without a key: reads the page of results that DuckDuckGo, or another engine, shows to "
    "people. For little use; engines refuse who asks often.",
    config=WebSearchConfig,
    sample={"base_url": "${env.WEB_SEARCH_URL:=https://html.duckduckgo.com/html/}"},
)
class KeylessWebSearch(WebEngine):
    count_max = 50

    async def find(self, query: WebQuery, count: int, call: Call) -> list[WebResult]:
        parameters = {"q": with_sites(query)}
        if query.location and (region := REGIONS.get((query.location.country or "").upper())):
            parameters["kl"] = region
        # As it is configured: without the slash at its end, DuckDuckGo answers with a redirect.
        address = f"{self.config.base_url}{'&' if '?' in self.config.base_url else '?'}{urlencode(parameters)}"
        reply = await self.send("GET", address, HEADERS, None, call)
        body = await reply.read(REPLY_BYTES_MAX)
        page = ResultsPage(self.config.base_url)
        page.feed(body.decode("utf-8", "replace"))
        page.close()
        if not page.found:
            self._check(reply, body)
        return [WebResult(url=found.url, title=found.title, text=found.text) for found in page.found]

    def _check(self, reply: HttpReply, body: bytes) -> None:
        """Nothing was found, or the engine did not search."""
        lowered = body.lower()
        if reply.status == 202 or any(challenge in lowered for challenge in CHALLENGES):
            raise self._refused()
        if _SEARCH_FIELD.search(lowered) is None:
            raise ProviderError(f"Provider '{self.name}' answered with something that is not a page of results.")

    def refusal(self, reply: HttpReply, said: Said) -> LlamaStackError:
        if reply.status in (401, 403, 418, 429):
            return self._refused(reply.status)
        return super().refusal(reply, said)

    def _refused(self, status: int | None = None) -> RateLimited:
        because = f" (HTTP {status})" if status else ": it asks for proof that a person asks"
        return RateLimited(
            f"Provider '{self.name}': the search engine refuses searches by programs from here{because}. Wait a while, "
            "or configure an engine with a key (remote::brave-search, remote::tavily-search) or remote::searxng."
        )

    async def health(self) -> HealthResponse:
        return HealthResponse(
            status=HealthStatus.NOT_IMPLEMENTED, message="an engine for people is not asked needlessly"
        )
