"""A search engine behind HTTP. A provider is a subclass with a descriptor, a config and a way to ask.

class Brave(WebEngine):
    async def find(self, query: WebQuery, count: int, call: Call) -> list[WebResult]: ...
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from llama_stack.dialects.openai.errors import UNREADABLE, retry_after_s
from llama_stack.net.config import NetworkConfig
from llama_stack.net.domains import domain_of, is_allowed, is_page
from llama_stack.providers._shared.addresses import checked_address
from llama_stack.providers._shared.health import unwell
from llama_stack_api.errors import (
    InvalidRequest,
    LlamaStackError,
    ProviderError,
    ProviderRejectedCredentials,
    ProviderTimeout,
    RateLimited,
)
from llama_stack_api.ports.http import HttpReply
from llama_stack_api.ports.tool_runtime import ContextSize, WebQuery, WebResult
from llama_stack_api.principal import Call
from llama_stack_api.provider import Descriptor, HealthResponse, HealthStatus, ProviderContext

REPLY_BYTES_MAX = 8 * 1024 * 1024
ERROR_BYTES_MAX = 16 * 1024
SAID_CHARS_MAX = 300
DOMAINS_IN_QUERY_MAX = 8
"""More would push the words of the question out of what engines read of a query."""
_COUNTS: Mapping[ContextSize, int] = {"low": 3, "medium": 5, "high": 10}
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")


class EngineConfig(BaseModel):
    """What every search engine takes."""

    # A key that is all digits reaches us as a number when it comes from the environment.
    model_config = ConfigDict(extra="allow", defer_build=True, populate_by_name=True, coerce_numbers_to_str=True)

    base_url: str
    max_results: int | None = Field(default=None, ge=1, le=50)
    """Results of a search. None: 3, 5 or 10, as the `search_context_size` is low, medium or high."""
    network: NetworkConfig | None = None

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        return checked_address(url)

    @model_validator(mode="before")
    @classmethod
    def _former_names(cls, data: Any) -> Any:
        """Keys of older run configs; and an empty `${env…}` is no value, so that the default holds."""
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


@dataclass(frozen=True, slots=True)
class Said:
    """What the body of an error says: its words, shortened, and its code; nothing of a page."""

    text: str = ""
    code: str = ""

    @classmethod
    def of_body(cls, body: bytes, secret: str) -> Said:
        """`secret` is taken out of it."""
        try:
            said = msgspec.json.decode(body)
        except UNREADABLE:
            return cls()
        code = ""
        for _ in range(3):
            if isinstance(said, list) and said:
                said = said[0]
            if isinstance(said, dict):
                code = str(said.get("code") or code)
                said = next((said[key] for key in ("error", "errors", "detail", "message") if said.get(key)), "")
        text = plain(said)
        return cls((text.replace(secret, "***") if secret else text)[:SAID_CHARS_MAX], code[:SAID_CHARS_MAX])


class KeyedService:
    """A service behind HTTP, and its key: the configured one, or that of a call."""

    __provider__: ClassVar[Descriptor]

    def __init__(self, config: EngineConfig, context: ProviderContext) -> None:
        self.config = config
        self.name = context.provider_id
        self.base_url = config.base_url.rstrip("/")
        self._http = context.http(config.network)
        self._key: SecretStr | None = getattr(config, "api_key", None)
        self._key_in_data = next((key for key, field in self.__provider__.data_keys.items() if field == "api_key"), "")

    async def health(self) -> HealthResponse:
        if self._key_in_data and self._key is None:
            return unwell("no api_key is configured; requests must bring their own")
        return HealthResponse(status=HealthStatus.NOT_IMPLEMENTED, message="each question costs: not asked")

    def key(self, call: Call) -> str:
        """`InvalidRequest` if there is neither a configured key nor one of the call."""
        key = call.provider_data.get(self._key_in_data, self._key)
        if key is None or not key.get_secret_value():
            raise InvalidRequest(
                f"Provider '{self.name}' has no api_key. Set one in the run config, or send {self._key_in_data} in "
                "X-LlamaStack-Provider-Data.",
                code="missing_credentials",
            )
        return key.get_secret_value()

    async def get_json(self, url: str, headers: Mapping[str, str], call: Call, *, secret: str = "") -> Any:
        """What a GET of `url` gives, parsed. `secret` is taken out of what an error repeats."""
        return await self._json(await self.send("GET", url, headers, None, call, secret=secret))

    async def post_json(self, url: str, headers: Mapping[str, str], body: Any, call: Call, *, secret: str = "") -> Any:
        headers = {"Content-Type": "application/json", **headers}
        return await self._json(await self.send("POST", url, headers, msgspec.json.encode(body), call, secret=secret))

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, call: Call, *, secret: str = ""
    ) -> HttpReply:
        """A reply with a status of success; any other is an error."""
        reply = await self._http.send(method, url, headers=headers, body=body, deadline=call.deadline)
        if 200 <= reply.status < 300:
            return reply
        raise self.refusal(reply, Said.of_body(await _error_body(reply), secret))

    async def _json(self, reply: HttpReply) -> Any:
        try:
            answer = msgspec.json.decode(await reply.read(REPLY_BYTES_MAX))
        except UNREADABLE:
            answer = None
        if not isinstance(answer, dict):
            raise ProviderError(f"Provider '{self.name}' answered with something that is not a JSON object.")
        return answer

    def refusal(self, reply: HttpReply, said: Said) -> LlamaStackError:
        """The error for a status that is none of success. Only where the request was wrong are its words passed on:
        refused credentials are repeated in some."""
        status, named = reply.status, f"Provider '{self.name}'"
        match status:
            case 401 | 403:
                return self.rejected(status)
            case 408 | 504:
                return ProviderTimeout(f"{named} did not answer in time (HTTP {status}).", upstream_status=status)
            case 429:
                return RateLimited(f"{named} is asked too often.", retry_after_s=retry_after_s(reply.headers))
            case _ if 300 <= status < 400:
                return ProviderError(
                    f"{named} answered with a redirect (HTTP {status}), which is not followed. Check its base_url.",
                    upstream_status=status,
                )
            case _ if status < 500 and said.text:
                return ProviderError(
                    f"{named} refused the request (HTTP {status}): {said.text}", upstream_status=status
                )
        return ProviderError(
            f"{named} failed (HTTP {status}).", upstream_status=status, retry_after_s=retry_after_s(reply.headers)
        )

    def rejected(self, status: int) -> ProviderRejectedCredentials:
        return ProviderRejectedCredentials(
            f"Provider '{self.name}' refused the credentials (HTTP {status}). Check its api_key in the run config, or "
            "the key sent in X-LlamaStack-Provider-Data.",
            upstream_status=status,
        )


class WebEngine(KeyedService):
    """The port `WebSearch` over `find`, which a provider writes."""

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


def plain(text: Any) -> str:
    """Text without tags and entities, on one line; empty for what is no text."""
    return one_line(html.unescape(_TAG.sub("", text))) if isinstance(text, str) else ""


def one_line(text: str) -> str:
    return " ".join(text.split())


def text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def number_or_none(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


async def _error_body(reply: HttpReply) -> bytes:
    try:
        return await reply.read(ERROR_BYTES_MAX)
    except ProviderError:  # too large, or broken off: the status says enough
        return b""
