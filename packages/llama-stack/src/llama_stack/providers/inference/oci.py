"""Oracle's Generative AI: chat, embeddings and rerank by its own API, under Oracle's signature.

An API key of the service itself opens its OpenAI-compatible address for chat, and no more.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote

import msgspec
from pydantic import Field, SecretStr

from llama_stack.dialects.chat.values import strings
from llama_stack.dialects.oci.chunks import OciChunks
from llama_stack.dialects.oci.errors import error_of_event, error_of_reply
from llama_stack.dialects.oci.formats import ApiFormat, format_of
from llama_stack.dialects.oci.from_oci import completion_of
from llama_stack.dialects.oci.to_oci import oci_request
from llama_stack.providers._shared.health import health_of
from llama_stack.providers._shared.oci_config import DEFAULT_REGION, OciAuthConfig
from llama_stack.providers._shared.oci_embeddings import EMBEDDING_MODELS, embedding_request, vectors_of
from llama_stack.providers._shared.oci_identity import OciSigner
from llama_stack.providers._shared.openai_compatible import ChatUpstream, NetStream, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import Quirks
from llama_stack.providers._shared.reranking import RerankUpstream
from llama_stack.providers._shared.translated_stream import SseEvents, TranslatedStream
from llama_stack.providers._shared.vectors_reply import vectors_reply
from llama_stack_api.api import Api
from llama_stack_api.errors import InvalidRequest, LlamaStackError, ProviderError
from llama_stack_api.native.rerank import RerankRequest
from llama_stack_api.openai.chat import ChatCompletion, ChatCompletionRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest, EmbeddingsResponse
from llama_stack_api.ports.http import HttpReply
from llama_stack_api.ports.inference import ModelType, ProviderModel
from llama_stack_api.principal import SYSTEM_CALL, Call
from llama_stack_api.provider import HealthResponse, ProviderContext, provider
from llama_stack_api.wire import EncodedReply, EncodedStream

API_VERSION = "20231130"
PAGES_MAX = 20
_JSON = "application/json"
_KINDS = {"CHAT": ModelType.llm, "TEXT_EMBEDDINGS": ModelType.embedding, "TEXT_RERANK": ModelType.rerank}
_OF_THE_CALL = ("oci_private_key", "oci_user_ocid", "oci_tenancy_ocid", "oci_fingerprint")


class OCIConfig(OciAuthConfig, OpenAICompatibleConfig):
    base_url: str = ""
    """Where models are called. Empty: the region's public address."""
    control_url: str = ""
    """Where models are listed. Empty: the region's public address, or `base_url` if that is set."""
    api_key: SecretStr | None = None
    """An API key of the Generative AI service. It opens chat alone and no list: name the models in allowed_models."""
    oci_compartment_id: str | None = None
    """The compartment in whose name models are called."""
    oci_serving_mode: Literal["ON_DEMAND", "DEDICATED"] = "ON_DEMAND"
    """DEDICATED: models are called by the OCIDs of their endpoints on dedicated clusters. An endpoint's OCID is
    understood under ON_DEMAND, too."""
    api_formats: dict[str, ApiFormat] = Field(default_factory=dict)
    """The format of chat that a model takes, where neither its name nor the list of models tells it."""


@provider(
    api=Api.inference,
    type="remote::oci",
    description="Oracle Cloud's Generative AI: chat, embeddings and rerank, on demand or on dedicated endpoints. "
    "Requests are signed: with a user's key, a profile of Oracle's config file, a session token, or as the machine or "
    "function that this server runs on.",
    config=OCIConfig,
    sample={
        "oci_auth_type": "${env.OCI_AUTH_TYPE:=}",
        "oci_config_file_path": "${env.OCI_CONFIG_FILE_PATH:=~/.oci/config}",
        "oci_config_profile": "${env.OCI_CLI_PROFILE:=DEFAULT}",
        "oci_region": "${env.OCI_REGION:=}",
        "oci_compartment_id": "${env.OCI_COMPARTMENT_OCID:=}",
        "oci_serving_mode": "${env.OCI_SERVING_MODE:=ON_DEMAND}",
        "oci_user_ocid": "${env.OCI_USER_OCID:=}",
        "oci_tenancy_ocid": "${env.OCI_TENANCY_OCID:=}",
        "oci_fingerprint": "${env.OCI_FINGERPRINT:=}",
        "oci_private_key": "${env.OCI_PRIVATE_KEY:=}",
        "api_key": "${env.OCI_GENAI_API_KEY:=}",
    },
    turned_on_by="OCI_COMPARTMENT_OCID",
    data_keys={"oci_compartment_id": "oci_compartment_id", "oci_genai_api_key": "api_key"}
    | {name: name for name in _OF_THE_CALL},
)
class OCI(ChatUpstream, RerankUpstream):
    serves_unlisted_models = True  # endpoints, and models by their OCIDs
    quirks = Quirks(embedding_models=EMBEDDING_MODELS)  # the limits of the API are its dialect's to know
    config: OCIConfig

    def __init__(self, config: OCIConfig, context: ProviderContext) -> None:
        self._signer = OciSigner(config, context.provider_id, context.http(None))
        self._vendors: dict[str, str] = {}
        self._place = config.oci_region
        super().__init__(config, context)

    # --- the ports

    async def openai_chat_completion(
        self, params: ChatCompletionRequest, call: Call
    ) -> EncodedReply[ChatCompletion] | EncodedStream:
        if self._by_key(call):
            return await super().openai_chat_completion(params, call)
        api_format = self._format(params.model)
        chat = oci_request(params.model_dump(mode="json", exclude_unset=True), api_format=api_format)
        body = {**self._called(params.model, call), "chatRequest": chat}
        reply = await self._act("chat", body, call)
        completion_id, created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())
        if not params.stream:
            answer = await self.decoded(reply)
            self._check_answer(answer, reply)
            completion = completion_of(answer, model=params.model, created=created, id=completion_id)
            return EncodedReply(msgspec.json.encode(completion), ChatCompletion)
        if reply.headers.get("Content-Type", "").startswith(_JSON):
            # Asked for a stream, answered with a body: an error that was sent with the status of a success.
            raise await self._refusal(reply, {})
        chunks = OciChunks(
            model=params.model,
            created=created,
            id=completion_id,
            api_format=api_format,
            include_usage=bool(params.stream_options and params.stream_options.include_usage),
        )
        source = NetStream(reply, str)
        return TranslatedStream(source, SseEvents(), chunks, self.name, lambda event: error_of_event(event, self.name))

    async def openai_embeddings(self, params: EmbeddingsRequest, call: Call) -> EncodedReply[EmbeddingsResponse]:
        body = {**embedding_request(params, self.name), **self._called(params.model, call)}
        answer = await self.decoded(await self._act("embedText", body, call))
        try:
            vectors, tokens = vectors_of(answer)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ProviderError(f"Provider '{self.name}' answered with something that is no embeddings.") from None
        return vectors_reply(vectors, params, tokens, self.name)

    def rerank_url(self, model: str, call: Call) -> str:
        return "rerankText"  # the address is made where the request is signed

    def rerank_body(self, params: RerankRequest, query: str, texts: list[str], call: Call) -> dict[str, Any]:
        body = {**self._called(params.model, call), "input": query, "documents": texts}
        if params.max_num_results is not None:
            body["topN"] = params.max_num_results
        return (params.model_extra or {}) | body

    def ranked(self, answer: Any) -> list[tuple[int, float]]:
        return [(rank["index"], rank["relevanceScore"]) for rank in answer["documentRanks"]]

    async def health(self) -> HealthResponse:
        return await health_of(self.list_models(SYSTEM_CALL))

    # --- models

    async def list_models(self, call: Call) -> list[ProviderModel]:
        allowed = self.config.allowed_models
        if self.config.api_key is not None:
            return [ProviderModel(name, self._kind_of(name)) for name in allowed or ()]
        found = {model.id: model for item in await self._listed("models", call) if (model := self._model(item))}
        found |= {model.id: model for item in await self._listed("endpoints", call) if (model := self._endpoint(item))}
        return [model for model in found.values() if allowed is None or model.id in allowed]

    def _model(self, item: dict[str, Any]) -> ProviderModel | None:
        """A model that is served on demand: not one that is retired, nor one that others are made of."""
        can = strings(item.get("capabilities"))
        kind = next((_KINDS[name] for name in can if name in _KINDS), None)
        name = item.get("displayName")
        if not isinstance(name, str) or not name or kind is None or "FINE_TUNE" in can:
            return None
        if item.get("type") == "CUSTOM" or item.get("timeOnDemandRetired") or item.get("timeDeprecated"):
            return None
        self._vendors[name] = str(item.get("vendor") or "")
        return ProviderModel(name, kind, self._known(name))

    def _endpoint(self, item: dict[str, Any]) -> ProviderModel | None:
        """An endpoint on a dedicated cluster, by its OCID; what it is for is that of its model."""
        identifier = item.get("id")
        return ProviderModel(identifier, ModelType.llm) if isinstance(identifier, str) and identifier else None

    def _kind_of(self, name: str) -> ModelType:
        return ModelType.embedding if name in EMBEDDING_MODELS else ModelType.llm

    def _known(self, name: str) -> dict[str, Any]:
        return {"embedding_dimension": EMBEDDING_MODELS[name]} if name in EMBEDDING_MODELS else {}

    async def _listed(self, what: str, call: Call) -> list[dict[str, Any]]:
        root = self.config.control_url or self.config.base_url or await self._regional("generativeai")
        compartment = quote(self._compartment(call), safe="")
        first = f"{root.rstrip('/')}/{API_VERSION}/{what}?compartmentId={compartment}&lifecycleState=ACTIVE&limit=1000"
        found: list[dict[str, Any]] = []
        page = ""
        for _ in range(PAGES_MAX):
            reply = await self._send("GET", first + page, b"", call)
            answer = await self.decoded(reply)
            items = answer.get("items") if isinstance(answer, dict) else None
            if not isinstance(items, list):
                raise ProviderError(f"Provider '{self.name}' answered with something that is not a list of models.")
            found += [item for item in items if isinstance(item, dict)]
            following = reply.headers.get("opc-next-page")
            if not following:
                return found
            page = f"&page={quote(following, safe='')}"
        raise ProviderError(f"Provider '{self.name}' has a list of models of more than {PAGES_MAX} pages.")

    # --- addresses, credentials, errors

    @property
    def key_required(self) -> bool:
        return False  # without a key, requests are signed

    def rooted(self, url: str) -> str:
        return url.rstrip("/")

    def url(self, path: str, call: Call, model: str | None = None) -> str:
        """The OpenAI-compatible address, for calls by key."""
        root = self.config.base_url or f"https://{_host('inference.generativeai', self._place or DEFAULT_REGION)}"
        return f"{root.rstrip('/')}/{API_VERSION}/actions/v1{path}"

    async def post(self, url: str, body: bytes, call: Call) -> HttpReply:
        if url == "rerankText":
            return await self._act(url, body, call)
        return await super().post(url, body, call)

    async def headers(self, call: Call) -> Mapping[str, str]:
        headers = await super().headers(call)
        compartment = self._named(call, "oci_compartment_id") or self.config.oci_compartment_id
        return {**headers, "opc-compartment-id": compartment} if compartment else headers

    async def _act(self, action: str, body: Mapping[str, Any] | bytes, call: Call) -> HttpReply:
        root = self.config.base_url.rstrip("/") or await self._regional("inference.generativeai")
        encoded = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return await self._send("POST", f"{root}/{API_VERSION}/actions/{action}", encoded, call)

    async def _send(self, method: str, url: str, body: bytes, call: Call) -> HttpReply:
        own = self._own_keys(call)
        headers = await self._signer.signed(method, url, body, own)
        reply = await self._http.send(method, url, headers=headers, body=body or None)
        if reply.status < 300:
            return reply
        if reply.status == 401 and own is None:
            self._signer.forget()  # perhaps revoked ahead of time: the next request finds another
        raise await self._refusal(reply, headers)

    async def _refusal(self, reply: HttpReply, sent: Mapping[str, str]) -> LlamaStackError:
        return error_of_reply(reply.status, reply.headers, await self._refused_with(reply, sent), self.name)

    def _check_answer(self, answer: Any, reply: HttpReply) -> None:
        if isinstance(answer, dict) and isinstance(answer.get("chatResponse"), dict):
            if (error := error_of_event(answer["chatResponse"], self.name)) is not None:
                raise error
            return
        if isinstance(answer, dict) and isinstance(answer.get("message"), str):
            raise error_of_reply(reply.status, reply.headers, msgspec.json.encode(answer), self.name)
        raise ProviderError(f"Provider '{self.name}' answered with something that is not a chat response.")

    async def _regional(self, service: str) -> str:
        if self._place is None:
            self._place = await self._signer.region() or DEFAULT_REGION
        return f"https://{_host(service, self._place)}"

    def _called(self, model: str, call: Call) -> dict[str, Any]:
        """In whose name, and where the model runs."""
        dedicated = self.config.oci_serving_mode == "DEDICATED" or model.startswith("ocid1.generativeaiendpoint.")
        serving = (
            {"servingType": "DEDICATED", "endpointId": model}
            if dedicated
            else {"servingType": "ON_DEMAND", "modelId": model}
        )
        return {"compartmentId": self._compartment(call), "servingMode": serving}

    def _format(self, model: str) -> ApiFormat:
        if model in self.config.api_formats:
            return self.config.api_formats[model]
        known = format_of(model)
        cohere = self._vendors.get(model, "").lower() == "cohere"
        return ApiFormat.COHEREV2 if cohere and known is ApiFormat.GENERIC else known

    def _compartment(self, call: Call) -> str:
        compartment = self._named(call, "oci_compartment_id") or self.config.oci_compartment_id
        if not compartment:
            raise InvalidRequest(
                f"Provider '{self.name}' has no oci_compartment_id. Set it in the run config, or send "
                "oci_compartment_id in X-LlamaStack-Provider-Data."
            )
        return compartment

    def _own_keys(self, call: Call) -> OciAuthConfig | None:
        """The keys that a call brings; the user, the tenancy and the fingerprint belong to them."""
        if "oci_private_key" not in call.provider_data:
            return None
        return OciAuthConfig(**{name: self._named(call, name) for name in _OF_THE_CALL})

    def _named(self, call: Call, name: str) -> str | None:
        value = call.provider_data.get(name)
        if value is None:
            return None
        said = value.get_secret_value().strip()
        # A key has lines; what goes into headers and addresses has none.
        return said if name == "oci_private_key" else self.printable(said)

    def _by_key(self, call: Call) -> bool:
        if "oci_private_key" in call.provider_data:
            return False
        return self.config.api_key is not None or self._key_in_data in call.provider_data


def _host(service: str, region: str) -> str:
    return f"{service}.{region}.oci.oraclecloud.com"
