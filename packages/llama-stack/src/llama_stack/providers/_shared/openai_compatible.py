"""A remote provider that speaks OpenAI's dialect. A provider is a subclass with a descriptor, a config and its quirks.

Replies are handed on as the bytes that came (`EncodedReply`, `EncodedStream`); what must be read or rewritten in them
is the server's business, once, for all providers.
"""

from __future__ import annotations

import fnmatch
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

import msgspec
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from llama_stack.dialects.openai.errors import UNREADABLE, error_of_reply
from llama_stack.net.config import NetworkConfig
from llama_stack.providers._shared.addresses import checked_address
from llama_stack.providers._shared.health import health_of, unwell
from llama_stack.providers._shared.kept_thoughts import with_thoughts_as
from llama_stack.providers._shared.quirks import NO_QUIRKS, Quirks
from llama_stack_api.errors import (
    InvalidRequest,
    LlamaStackError,
    PermissionDenied,
    ProviderError,
    ProviderRejectedCredentials,
)
from llama_stack_api.openai.chat import ChatCompletion, ChatCompletionRequest
from llama_stack_api.openai.completions import Completion, CompletionRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest, EmbeddingsResponse
from llama_stack_api.ports.http import HttpReply
from llama_stack_api.ports.inference import ModelType, ProviderModel
from llama_stack_api.principal import SYSTEM_CALL, Call
from llama_stack_api.provider import Descriptor, HealthResponse, ProviderContext
from llama_stack_api.wire import EncodedReply, EncodedStream

R = TypeVar("R", bound=BaseModel)

ERROR_BODY_BYTES_MAX = 64 * 1024
SECRET_CHARS_MIN = 8
MODEL_ID_CHARS_MAX = 512
_JSON = "application/json"
_CONTEXT_KEYS = ("context_length", "context_window", "max_model_len", "max_context_length")
"""How the listings call a model's context length in tokens."""


class OpenAICompatibleConfig(BaseModel):
    """What every remote inference provider takes."""

    # A key or an id that is all digits reaches us as a number when it comes from the environment.
    model_config = ConfigDict(extra="allow", defer_build=True, populate_by_name=True, coerce_numbers_to_str=True)

    base_url: str
    """The address to which `/chat/completions` is appended."""
    api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("api_key", "api_token", "auth_credential")
    )
    allowed_models: list[str] | None = None
    """Only these of the provider's models are served. None: all that it lists."""
    refresh_models: bool = False
    """List the models again at every `server.registry_refresh_interval_seconds`."""
    network: NetworkConfig | None = None
    allow_client_url: bool = False
    """Whether a request may name another address in `X-LlamaStack-Provider-Data`: it makes this server call it.
    The configured `api_key` is never sent there; `network.headers` are."""

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
        if "url" in said:
            said.setdefault("base_url", said.pop("url"))
        network = dict(said.get("network") or {})
        if "timeout" in said:
            network.setdefault("timeout", said.pop("timeout"))
        if "tls_verify" in said:
            network.setdefault("tls", {"verify": said.pop("tls_verify")})
        return said | {"network": network} if network else said


class NetStream(EncodedStream):
    """The open body of an upstream's reply."""

    __slots__ = ("_mask", "_reply")

    def __init__(self, reply: HttpReply, mask: Callable[[str], str]) -> None:
        self._reply = reply
        self._mask = mask

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._reply.chunks()

    async def aclose(self) -> None:
        await self._reply.aclose()

    def masked(self, text: str) -> str:
        return self._mask(text)


class Upstream:
    """An upstream and its list of models. The classes below add a port each; a provider takes those it can serve."""

    __provider__: ClassVar[Descriptor]
    quirks: ClassVar[Quirks] = Quirks()
    takes_any_history: ClassVar[bool] = False
    """Whether messages of an assistant go to it with all members that a client returns."""

    def __init__(self, config: OpenAICompatibleConfig, context: ProviderContext) -> None:
        self.config = config
        self.name = context.provider_id
        self._http = context.http(config.network)
        self._base_url = self.rooted(config.base_url)
        self._headers = self.headers_with(config.api_key)
        data_keys = {field: key for key, field in self.__provider__.data_keys.items()}
        self._key_in_data = data_keys.get("api_key", "")
        self._url_in_data = data_keys.get("base_url", "")

    # --- the ports that every provider has

    async def list_models(self, call: Call) -> list[ProviderModel]:
        items = self.listed_items(await self.listing(call))
        if not isinstance(items, list):
            # An error with the status of a success, or another service: no reason to forget what is known.
            raise ProviderError(f"Provider '{self.name}' answered with something that is not a list of models.")
        found = [self.listed_model(item) for item in items if isinstance(item, dict)]
        allowed = self.config.allowed_models
        return [model for model in found if model is not None and (allowed is None or model.id in allowed)]

    async def health(self) -> HealthResponse:
        if self.key_required and self.config.api_key is None:
            return unwell("no api_key is configured; requests must bring their own")
        return await health_of(self.list_models(SYSTEM_CALL))

    # --- what a subclass may say otherwise

    async def listing(self, call: Call) -> Any:
        """What the upstream lists, decoded."""
        return await self.get_json(self.url("/models", call), call)

    def listed_items(self, listed: Any) -> Any:
        """The entries of the upstream's model list: OpenAI's envelope, or a bare list. Ollama's is null when empty."""
        return (listed["data"] or []) if isinstance(listed, dict) and "data" in listed else listed

    def listed_model(self, item: dict[str, Any]) -> ProviderModel | None:
        """One entry of the upstream's model list; None leaves it out."""
        identifier = item.get("id")
        kind = self.model_type(item) if isinstance(identifier, str) else None
        if not isinstance(identifier, str) or not 0 < len(identifier) <= MODEL_ID_CHARS_MAX or kind is None:
            return None
        metadata: dict[str, Any] = {}
        if identifier in self.quirks.embedding_models:
            metadata["embedding_dimension"] = self.quirks.embedding_models[identifier]
        for key in _CONTEXT_KEYS:
            if isinstance(length := item.get(key), int):
                metadata["context_length"] = length
        return ProviderModel(identifier, kind, metadata)

    def model_type(self, item: dict[str, Any]) -> ModelType | None:
        """What a listed model is for; None if nothing that we serve."""
        identifier = item["id"]
        if identifier in self.quirks.embedding_models:
            return ModelType.embedding
        if any(fnmatch.fnmatchcase(identifier, pattern) for pattern in self.quirks.unlisted):
            return None
        return ModelType.llm

    def url(self, path: str, call: Call, model: str | None = None) -> str:
        """The address of an operation, for a model where that matters."""
        return self.base_url(call) + path

    async def headers(self, call: Call) -> Mapping[str, str]:
        """The request's headers. The key of the call, if it brings one, takes the place of the configured one, which
        is for the configured address only."""
        if call.provider_data and self._key_in_data in call.provider_data:
            return self.headers_with(call.provider_data[self._key_in_data])
        if call.provider_data and self._url_in_data in call.provider_data:
            return self.headers_with(None)
        if self.key_required and self.config.api_key is None:
            hint = f", or send {self._key_in_data} in X-LlamaStack-Provider-Data" if self._key_in_data else ""
            raise ProviderRejectedCredentials(
                f"Provider '{self.name}' has no api_key. Set it in the run config{hint}.", code="upstream_key_missing"
            )
        return self._headers

    def headers_with(self, key: SecretStr | None) -> dict[str, str]:
        headers = {"Content-Type": _JSON}
        if key is not None and (value := self.printable(key.get_secret_value().strip())):
            headers[self.quirks.key_header] = self.quirks.key_prefix + value
        return headers

    def printable(self, value: str) -> str:
        """A header's value: whoever could put a line break into it could add headers of their own."""
        if not value.isprintable():
            raise InvalidRequest(f"A key for provider '{self.name}' contains a line break or control character.")
        return value

    @property
    def key_required(self) -> bool:
        return self.quirks.key_required

    def rooted(self, url: str) -> str:
        """An address as configured, completed to the one to which the paths are appended."""
        url = url.rstrip("/")
        return url if urlsplit(url).path else url + self.quirks.root

    # --- what they are made of

    def base_url(self, call: Call) -> str:
        if not call.provider_data or self._url_in_data not in call.provider_data:
            return self._base_url
        if not self.config.allow_client_url:
            raise PermissionDenied(
                f"'{self._url_in_data}' in X-LlamaStack-Provider-Data is not allowed for provider '{self.name}'; "
                "its operator can set allow_client_url: true."
            )
        return self.rooted(call.provider_data[self._url_in_data].get_secret_value())

    @property
    def thoughts_member(self) -> str | None:
        return self.quirks.thoughts

    def body(self, params: BaseModel, quirks: Quirks) -> bytes:
        """The request as JSON: what the client sent and nothing else, save for the quirks and thoughts of before."""
        if isinstance(params, ChatCompletionRequest) and not self.takes_any_history:
            params = with_thoughts_as(self.thoughts_member, params)
        if not quirks.concern(params.model_fields_set):
            return params.__pydantic_serializer__.to_json(params, exclude_unset=True)
        body = params.model_dump(mode="json", exclude_unset=True)
        quirks.apply(body, self.name)
        return msgspec.json.encode(body)

    async def post(self, url: str, body: bytes, call: Call) -> HttpReply:
        """Send a request. Any status but 2xx is raised as the error that it means."""
        headers = await self.headers(call)
        reply = await self._http.send("POST", url, headers=headers, body=body)
        if reply.status >= 300:
            raise await self._refusal(reply, headers)
        return reply

    async def get_json(self, url: str, call: Call) -> Any:
        headers = await self.headers(call)
        reply = await self._http.send("GET", url, headers=headers)
        if reply.status >= 300:
            raise await self._refusal(reply, headers)
        return await self.decoded(reply)

    async def decoded(self, reply: HttpReply) -> Any:
        try:
            return msgspec.json.decode(await reply.read())
        except UNREADABLE:
            raise ProviderError(f"Provider '{self.name}' answered with something that is not JSON.") from None

    async def _refusal(self, reply: HttpReply, sent: Mapping[str, str]) -> LlamaStackError:
        return error_of_reply(reply.status, reply.headers, await self._refused_with(reply, sent), self.name)

    async def _refused_with(self, reply: HttpReply, sent: Mapping[str, str]) -> bytes:
        """The body of a refusal, without the secrets that were sent."""
        try:
            body = await reply.read(ERROR_BODY_BYTES_MAX)
        except ProviderError:
            body = b""
        return self._masked(body.decode("latin-1"), sent).encode("latin-1")

    def _masked(self, text: str, sent: Mapping[str, str]) -> str:
        """Some upstreams repeat in an error the key that they were sent."""
        for secret in self._secrets_in(sent):
            text = text.replace(secret, "***")
        return text

    def _secrets_in(self, sent: Mapping[str, str]) -> list[str]:
        """The key, and what else a header held that is long enough to be secret."""
        configured = self.config.network.headers.values() if self.config.network else ()
        others = [*sent.values(), *(value.get_secret_value() for value in configured)]
        return [*self._key_in(sent), *(o for o in others if len(o) >= SECRET_CHARS_MIN and o != _JSON)]

    def _key_in(self, sent: Mapping[str, str]) -> list[str]:
        key = sent.get(self.quirks.key_header, "").removeprefix(self.quirks.key_prefix)
        return [key] if key else []

    async def _read(self, reply: HttpReply, call: Call) -> bytes:
        """The body of a success, which may still be an error, and then may repeat the key that it was sent."""
        body = await reply.read()
        if b'"error"' in body:
            for key in self._key_in(await self.headers(call)):
                body = body.replace(key.encode(), b"***")
        return body

    async def _complete(
        self, path: str, params: ChatCompletionRequest | CompletionRequest, model: type[R], call: Call
    ) -> EncodedReply[R] | EncodedStream:
        body = self.body(params, self.quirks)
        reply = await self.post(self.url(path, call, params.model), body, call)
        if not params.stream:
            return EncodedReply(await self._read(reply, call), model)
        if reply.headers.get("Content-Type", "").startswith(_JSON):
            # Asked for a stream, answered with a body: an error that was sent with the status of a success.
            raise await self._refusal(reply, await self.headers(call))
        sent = await self.headers(call)
        return NetStream(reply, lambda text: self._masked(text, sent))


class ChatUpstream(Upstream):
    async def openai_chat_completion(
        self, params: ChatCompletionRequest, call: Call
    ) -> EncodedReply[ChatCompletion] | EncodedStream:
        return await self._complete("/chat/completions", params, ChatCompletion, call)


class CompletionUpstream(Upstream):
    async def openai_completion(
        self, params: CompletionRequest, call: Call
    ) -> EncodedReply[Completion] | EncodedStream:
        return await self._complete("/completions", params, Completion, call)


class EmbeddingsUpstream(Upstream):
    async def openai_embeddings(self, params: EmbeddingsRequest, call: Call) -> EncodedReply[EmbeddingsResponse]:
        body = self.body(params, self.quirks.embeddings or NO_QUIRKS)
        reply = await self.post(self.url("/embeddings", call, params.model), body, call)
        return EncodedReply(await self._read(reply, call), EmbeddingsResponse)


class OpenAICompatible(ChatUpstream, CompletionUpstream, EmbeddingsUpstream):
    """An upstream with all that OpenAI's API has of inference."""
