"""A service behind HTTP and JSON that wants a key, and what its statuses mean."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec
from pydantic import BaseModel, ConfigDict, SecretStr, field_validator, model_validator

from llama_stack.dialects.openai.errors import UNREADABLE, retry_after_s
from llama_stack.net.config import NetworkConfig
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
from llama_stack_api.principal import Call
from llama_stack_api.provider import Descriptor, HealthResponse, HealthStatus, ProviderContext

REPLY_BYTES_MAX = 8 * 1024 * 1024
ERROR_BYTES_MAX = 16 * 1024
SAID_CHARS_MAX = 300
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")


class ServiceConfig(BaseModel):
    """What every such service takes."""

    # A key that is all digits reaches us as a number when it comes from the environment.
    model_config = ConfigDict(extra="allow", defer_build=True, populate_by_name=True, coerce_numbers_to_str=True)

    base_url: str
    network: NetworkConfig | None = None

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        return checked_address(url)

    @model_validator(mode="before")
    @classmethod
    def _said(cls, data: Any) -> Any:
        """An empty `${env…}` is no value, so that the default holds."""
        return (
            {key: value for key, value in data.items() if value not in (None, "")} if isinstance(data, dict) else data
        )


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
    config: ServiceConfig

    def __init__(self, config: ServiceConfig, context: ProviderContext) -> None:
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

    async def get_json(self, url: str, headers: Mapping[str, str], call: Call, *, secret: str = "") -> dict[str, Any]:
        """What a GET of `url` gives, parsed. `secret` is taken out of what an error repeats."""
        return await self.read_json(await self.send("GET", url, headers, None, call, secret=secret))

    async def post_json(
        self, url: str, headers: Mapping[str, str], body: Any, call: Call, *, secret: str = ""
    ) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", **headers}
        return await self.read_json(
            await self.send("POST", url, headers, msgspec.json.encode(body), call, secret=secret)
        )

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, call: Call, *, secret: str = ""
    ) -> HttpReply:
        """A reply with a status of success; any other is an error."""
        reply = await self._http.send(method, url, headers=headers, body=body, deadline=call.deadline)
        if 200 <= reply.status < 300:
            return reply
        raise self.refusal(reply, Said.of_body(await _error_body(reply), secret))

    async def read_json(self, reply: HttpReply) -> dict[str, Any]:
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


def plain(text: Any) -> str:
    """Text without tags and entities, on one line; empty for what is no text."""
    return one_line(html.unescape(_TAG.sub("", text))) if isinstance(text, str) else ""


def one_line(text: str) -> str:
    return " ".join(text.split())


async def _error_body(reply: HttpReply) -> bytes:
    try:
        return await reply.read(ERROR_BYTES_MAX)
    except ProviderError:  # too large, or broken off: the status says enough
        return b""
