"""Amazon Bedrock: Claude by its Messages API, under AWS's signature or an API key of Bedrock's.

Requests are Anthropic's but for the model, which is in the address, and the betas, which are in the body; streams are
AWS's binary events with Anthropic's inside.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
from pydantic import BaseModel, SecretStr, model_validator

from llama_stack.dialects.anthropic.errors import error_of_reply
from llama_stack.dialects.openai.errors import UNREADABLE
from llama_stack.providers._shared.aws import AwsConfig, AwsSigner
from llama_stack.providers._shared.aws_events import AwsEvent, AwsEventReader
from llama_stack.providers._shared.messages_upstream import BETA_HEADER
from llama_stack.providers._shared.messages_upstream_chat import ChatByMessages, ChatByMessagesConfig
from llama_stack_api.api import Api
from llama_stack_api.errors import LlamaStackError, NotImplementedByProvider, ProviderError, ProviderStreamBroken
from llama_stack_api.openai.chat import ChatCompletion, ChatCompletionRequest
from llama_stack_api.ports.http import HttpReply
from llama_stack_api.ports.inference import ProviderModel
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext, provider
from llama_stack_api.wire import EncodedReply, EncodedStream

if TYPE_CHECKING:
    from llama_stack_api.anthropic.messages import CountTokensRequest

ANTHROPIC_VERSION = "bedrock-2023-05-31"
SERVICE = "bedrock"
PAGES_MAX = 20
_SERVERS_OWN_TOOLS = ("code_execution", "mcp_toolset", "web_fetch", "web_search")
_EXCEPTIONS = {
    "internalServerException": 500,
    "modelStreamErrorException": 500,
    "modelTimeoutException": 504,
    "serviceUnavailableException": 503,
    "throttlingException": 429,
    "validationException": 400,
}
"""What can end a stream, as the status that says the same."""


class BedrockConfig(AwsConfig, ChatByMessagesConfig):
    base_url: str = ""
    """Where models are called. Empty: the region's public address."""
    control_url: str = ""
    """Where models are listed. Empty: the region's public address, or `base_url` if that is set."""
    api_key: SecretStr | None = None
    """An API key of Bedrock's (`AWS_BEARER_TOKEN_BEDROCK`). Without it requests are signed with AWS credentials."""
    total_max_attempts: Any = None
    """No effect, kept for compatibility: how often a call is tried is set by `server.routing`."""
    retry_mode: Any = None
    """No effect, as above."""

    @model_validator(mode="before")
    @classmethod
    def _former_timeouts(cls, data: Any) -> Any:
        """`connect_timeout` and `read_timeout` of older run configs."""
        if not isinstance(data, dict):
            return data
        waits = {name: data[f"{name}_timeout"] for name in ("connect", "read") if data.get(f"{name}_timeout")}
        kept = {name: value for name, value in data.items() if name not in ("connect_timeout", "read_timeout")}
        return {"timeout": waits, **kept} if waits else kept


@provider(
    api=Api.inference,
    type="remote::bedrock",
    description="Claude on Amazon Bedrock: messages and chat. Listed are the models that can be called on demand and "
    "the inference profiles of the account; others are called by their ids or ARNs when allowed_models names them.",
    config=BedrockConfig,
    sample={
        "region_name": "${env.AWS_DEFAULT_REGION:=us-east-1}",
        "api_key": "${env.AWS_BEARER_TOKEN_BEDROCK:=}",
        "aws_access_key_id": "${env.AWS_ACCESS_KEY_ID:=}",
        "aws_secret_access_key": "${env.AWS_SECRET_ACCESS_KEY:=}",
        "aws_session_token": "${env.AWS_SESSION_TOKEN:=}",
        "profile_name": "${env.AWS_PROFILE:=}",
    },
    turned_on_by="AWS_BEARER_TOKEN_BEDROCK",
    data_keys={"aws_bearer_token_bedrock": "api_key"},
    pip_packages=("boto3>=1.40,<2",),
)
class Bedrock(ChatByMessages):
    def __init__(self, config: BedrockConfig, context: ProviderContext) -> None:
        self._region = config.region_name
        otherwise = ", or send aws_bearer_token_bedrock in X-LlamaStack-Provider-Data"
        self._signer = AwsSigner(config, context.provider_id, otherwise=otherwise)
        self._control_url = (config.control_url or config.base_url).rstrip("/") or self._regional("bedrock")
        super().__init__(config, context)

    async def openai_chat_completion(
        self, params: ChatCompletionRequest, call: Call
    ) -> EncodedReply[ChatCompletion] | EncodedStream:
        self._check_vendor(params.model)
        return await super().openai_chat_completion(params, call)

    async def anthropic_count_tokens(self, params: CountTokensRequest, call: Call) -> int:
        self.check_message(params)
        # What is counted is a whole request, which has a limit of tokens, though it does not matter.
        request = {"max_tokens": 1, **params.model_dump(mode="json", exclude_unset=True)}
        body = base64.b64encode(self.message_body(request, call)).decode()
        # Profiles count by the model that they stand for.
        url = self._model_url(_without_geography(params.model), "count-tokens", call)
        counting = msgspec.json.encode({"input": {"invokeModel": {"body": body}}})
        return self.counted(await self.decoded(await self.post_message(url, counting, call)), "inputTokens")

    # --- the differences from Anthropic's own API

    def check_message(self, params: CountTokensRequest) -> None:
        self._check_vendor(params.model)
        said = params.model_dump(mode="json", include={"mcp_servers", "tools"}, exclude_unset=True)
        if said.get("mcp_servers") or any(_runs_at_the_server(tool) for tool in said.get("tools") or ()):
            raise NotImplementedByProvider(f"Provider '{self.name}': Bedrock runs no tools of its own for Claude.")

    def message_url(self, model: str, call: Call, *, stream: bool) -> str:
        return self._model_url(model, "invoke-with-response-stream" if stream else "invoke", call)

    def message_body(self, request: BaseModel | Mapping[str, Any], call: Call) -> bytes:
        if isinstance(request, BaseModel):
            request = request.model_dump(mode="json", exclude_unset=True)
        body = {name: value for name, value in request.items() if name not in ("model", "stream")}
        body["anthropic_version"] = ANTHROPIC_VERSION
        if betas := [beta.strip() for beta in call.forward_headers.get(BETA_HEADER, "").split(",") if beta.strip()]:
            body["anthropic_beta"] = betas
        return msgspec.json.encode(body)

    async def message_headers(self, url: str, body: bytes, call: Call) -> Mapping[str, str]:
        return await self._authorized("POST", url, body, call)

    def opened(self, reply: HttpReply, mask: Callable[[str], str]) -> EncodedStream:
        return _EventStream(reply, mask, self.name)

    # --- models

    async def list_models(self, call: Call) -> list[ProviderModel]:
        if self.config.allowed_models is not None:
            return [ProviderModel(model) for model in self.config.allowed_models]
        return await super().list_models(call)

    async def listing(self, call: Call) -> Any:
        models = await self._pages("/foundation-models?byProvider=Anthropic", "modelSummaries", "modelId", call)
        profiles = await self._pages(
            "/inference-profiles?maxResults=1000", "inferenceProfileSummaries", "inferenceProfileId", call
        )
        on_demand = [model for model in models if "ON_DEMAND" in model.get("inferenceTypesSupported", ())]
        return [*on_demand, *(profile for profile in profiles if _is_claude(profile["id"]))]

    async def _pages(self, path: str, member: str, identifier: str, call: Call) -> list[dict[str, Any]]:
        """The entries of a list, with their `id`."""
        found: list[dict[str, Any]] = []
        after = ""
        for _ in range(PAGES_MAX):
            page = await self.get_json(f"{self._control_url}{path}{after}", call)
            entries = page.get(member) if isinstance(page, dict) else None
            if not isinstance(entries, list):
                raise ProviderError(f"Provider '{self.name}' answered with something that is not a list of models.")
            found += [{**entry, "id": str(entry.get(identifier, ""))} for entry in entries if isinstance(entry, dict)]
            if not page.get("nextToken"):
                return found
            after = f"&nextToken={quote(str(page['nextToken']), safe='')}"
        raise ProviderError(f"Provider '{self.name}' has a list of models of more than {PAGES_MAX} pages.")

    # --- addresses and credentials

    @property
    def key_required(self) -> bool:
        return False  # without a key, requests are signed

    def rooted(self, url: str) -> str:
        return url.rstrip("/") or self._regional("bedrock-runtime")

    async def get_json(self, url: str, call: Call) -> Any:
        headers = await self._authorized("GET", url, b"", call)
        reply = await self._http.send("GET", url, headers=headers)
        if reply.status >= 300:
            raise await self._refusal(reply, headers)
        return await self.decoded(reply)

    async def _authorized(self, method: str, url: str, body: bytes, call: Call) -> Mapping[str, str]:
        headers = await self.headers(call)
        if "Authorization" in headers:
            return headers
        return await self._signer.signed(method, url, headers, body, service=SERVICE)

    def _regional(self, host: str) -> str:
        return f"https://{host}.{self._region}.amazonaws.com"

    def _model_url(self, model: str, operation: str, call: Call) -> str:
        # What is signed must be what is sent: of an id's characters only the `/` of an ARN is encoded.
        return f"{self.base_url(call)}/model/{quote(model, safe=':')}/{operation}"

    def _check_vendor(self, model: str) -> None:
        if not _is_claude(model):
            raise NotImplementedByProvider(
                f"Provider '{self.name}' serves Claude only; '{model}' is another vendor's model.", param="model"
            )


class _EventStream(EncodedStream):
    """Anthropic's events out of AWS's, as server-sent ones."""

    def __init__(self, reply: HttpReply, mask: Callable[[str], str], provider: str) -> None:
        self._reply = reply
        self._mask = mask
        self._provider = provider

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._events()

    async def aclose(self) -> None:
        await self._reply.aclose()

    def masked(self, text: str) -> str:
        return self._mask(text)

    async def _events(self) -> AsyncIterator[bytes]:
        reader = AwsEventReader()
        async for data in self._reply.chunks():
            try:
                yield b"".join(map(self._event, reader.feed(data)))
            except ValueError as error:
                raise self._broken(f"{error}") from None
        if not reader.complete:
            raise self._broken("it ended within an event")

    def _event(self, event: AwsEvent) -> bytes:
        if event.headers.get(":message-type") != "event":
            raise self._failure(event)
        if event.headers.get(":event-type") != "chunk":
            return b""
        try:
            data = base64.b64decode(msgspec.json.decode(event.payload, type=_Chunk).bytes)
            name = msgspec.json.decode(data, type=_Named).type
        except (*UNREADABLE, msgspec.ValidationError, ValueError):
            raise self._broken("it sent an event that cannot be read") from None
        return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"

    def _failure(self, event: AwsEvent) -> LlamaStackError:
        kind = event.headers.get(":exception-type", "")
        if kind not in _EXCEPTIONS:
            # An `error`, which has its message in a header, or an exception that is new.
            said = event.headers.get(":error-message", "")
            return self._broken(self._mask(said) or "an error of AWS")
        said = self._mask(event.payload.decode("utf-8", "replace"))
        return error_of_reply(_EXCEPTIONS[kind], {}, said.encode(), self._provider)

    def _broken(self, reason: str) -> ProviderStreamBroken:
        return ProviderStreamBroken(f"Provider '{self._provider}' broke the stream: {reason}.")


class _Chunk(msgspec.Struct):
    bytes: str


class _Named(msgspec.Struct):
    type: str


def _is_claude(model: str) -> bool:
    """Ids are `vendor.model` or `geography.vendor.model`, or an ARN that ends in one. What an account has named itself
    says nothing of a vendor; it is taken to be Claude."""
    name = model.rpartition("/")[2]
    return "." not in name or name.startswith("anthropic.") or ".anthropic." in name


def _without_geography(model: str) -> str:
    geography, vendor, name = model.partition("anthropic.")
    return vendor + name if vendor and "/" not in geography else model


def _runs_at_the_server(tool: Mapping[str, Any]) -> bool:
    return str(tool.get("type", "")).startswith(_SERVERS_OWN_TOOLS)
