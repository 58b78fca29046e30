"""IBM watsonx.ai: OpenAI's chat messages in an API of its own, behind tokens that an API key is exchanged for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
from pydantic import SecretStr

from llama_stack.dialects.chat.values import mapping, objects, text_or
from llama_stack.dialects.openai import sse
from llama_stack.dialects.openai.errors import UNREADABLE
from llama_stack.providers._shared.addresses import segment
from llama_stack.providers._shared.kept_thoughts import with_thoughts_as
from llama_stack.providers._shared.openai_compatible import (
    MODEL_ID_CHARS_MAX,
    ChatUpstream,
    NetStream,
    OpenAICompatibleConfig,
)
from llama_stack.providers._shared.quirks import Quirks
from llama_stack.providers._shared.reranking import RerankUpstream
from llama_stack.providers._shared.vectors_reply import vectors_reply
from llama_stack.providers._shared.watsonx_errors import error_of_reply
from llama_stack.providers._shared.watsonx_tokens import TokenService, WatsonxTokens
from llama_stack_api.api import Api
from llama_stack_api.errors import (
    InvalidRequest,
    LlamaStackError,
    ProviderError,
    ProviderRejectedCredentials,
    ProviderStreamBroken,
    UnsupportedParameter,
)
from llama_stack_api.native.rerank import RerankRequest
from llama_stack_api.openai.chat import ChatCompletion, ChatCompletionRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest, EmbeddingsResponse
from llama_stack_api.ports.http import HttpReply
from llama_stack_api.ports.inference import ModelType, ProviderModel
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext, provider
from llama_stack_api.wire import EncodedReply, EncodedStream

API_VERSION = "2025-02-11"
CPD_TOKENS = "/icp4d-api/v1/authorize"
DEPLOYMENTS = "deployments/"
"""How the model of a request begins that is the id, or the serving name, of a deployment."""
_FUNCTIONS = {"text_chat": ModelType.llm, "embedding": ModelType.embedding, "rerank": ModelType.rerank}


class WatsonxConfig(OpenAICompatibleConfig):
    base_url: str = "https://us-south.ml.cloud.ibm.com"
    """The region's address."""
    project_id: str | None = None
    space_id: str | None = None
    iam_url: str = "https://iam.cloud.ibm.com/identity/token"
    username: str | None = None
    """The user of one's own Cloud Pak for Data, whose `api_key` or `password` is exchanged there and not at IAM."""
    password: SecretStr | None = None


def _reshape(body: dict[str, Any]) -> None:
    """Streaming is another address, a mode of tool choice another member, and `stop` always a list. The model of a
    deployment is the deployment's affair."""
    model = body.pop("model")
    if not model.startswith(DEPLOYMENTS):
        body["model_id"] = model
    body.pop("stream", None)
    if isinstance(body.get("tool_choice"), str):
        body["tool_choice_option"] = body.pop("tool_choice")
    if isinstance(body.get("stop"), str):
        body["stop"] = [body["stop"]]


@provider(
    api=Api.inference,
    type="remote::watsonx",
    description="IBM watsonx.ai, in IBM's cloud or on a Cloud Pak for Data of one's own: chat, embeddings and rerank "
    "within a project or deployment space, and chat with deployments (deployments/<id>). Keys are exchanged for "
    "short-lived tokens.",
    config=WatsonxConfig,
    sample={
        "base_url": "${env.WATSONX_BASE_URL:=https://us-south.ml.cloud.ibm.com}",
        "api_key": "${env.WATSONX_API_KEY:=}",
        "project_id": "${env.WATSONX_PROJECT_ID:=}",
        "space_id": "${env.WATSONX_SPACE_ID:=}",
        "username": "${env.WATSONX_USERNAME:=}",
        "password": "${env.WATSONX_PASSWORD:=}",
    },
    turned_on_by="WATSONX_API_KEY",
    data_keys={"watsonx_api_key": "api_key", "watsonx_project_id": "project_id"},
)
class Watsonx(ChatUpstream, RerankUpstream):
    serves_unlisted_models = True  # deployments
    quirks = Quirks(
        refuse={
            "audio": (),
            "function_call": (),
            "functions": (),
            "modalities": (["text"],),
            "parallel_tool_calls": (True,),
            "user": (),
            "web_search_options": (),
        },
        stream_usage=False,
        reshape=_reshape,
    )

    def __init__(self, config: WatsonxConfig, context: ProviderContext) -> None:
        if config.api_key is None and config.password is not None:
            config = config.model_copy(update={"api_key": config.password})
        super().__init__(config, context)
        cpd = f"{self._base_url}{CPD_TOKENS}" if config.username else None
        service = TokenService(cpd or config.iam_url, config.username, config.password is not None)
        self._tokens = WatsonxTokens(service, self.name, self._http, self._token_refusal)
        places = (("project_id", config.project_id), ("space_id", config.space_id))
        self._place = dict([(name, value) for name, value in places if value][:1])

    # --- the ports

    async def openai_chat_completion(
        self, params: ChatCompletionRequest, call: Call
    ) -> EncodedReply[ChatCompletion] | EncodedStream:
        body = with_thoughts_as(self.thoughts_member, params).model_dump(mode="json", exclude_unset=True)
        self.quirks.apply(body, self.name)
        path = "/text/chat_stream" if params.stream else "/text/chat"
        if params.model.startswith(DEPLOYMENTS):
            path = f"/{DEPLOYMENTS}{segment(params.model.removeprefix(DEPLOYMENTS))}{path}"
        else:
            body |= self._placed(call)
        reply = await self.post(self.url(path, call), msgspec.json.encode(body), call)
        if params.stream:
            sent = await self.headers(call)
            source = NetStream(reply, lambda text: self._masked(text, sent))
            return _ChatStream(source, params.model, self.name)
        answer = await self.decoded(reply)
        if not isinstance(answer, dict):
            raise ProviderError(f"Provider '{self.name}' answered with something that is not a completion.")
        return EncodedReply(msgspec.json.encode(_completed(answer, "chat.completion", params.model)), ChatCompletion)

    async def openai_embeddings(self, params: EmbeddingsRequest, call: Call) -> EncodedReply[EmbeddingsResponse]:
        inputs = [params.input] if isinstance(params.input, str) else params.input
        if not all(isinstance(item, str) for item in inputs):
            raise UnsupportedParameter(f"Provider '{self.name}' embeds texts, not token ids.", param="input")
        for name in ("dimensions", "user"):
            if getattr(params, name) is not None:
                raise UnsupportedParameter(f"Provider '{self.name}' does not support '{name}'.", param=name)
        body = {**(params.model_extra or {}), "model_id": params.model, "inputs": inputs, **self._placed(call)}
        reply = await self.post(self.url("/text/embeddings", call), msgspec.json.encode(body), call)
        answer = mapping(await self.decoded(reply))
        tokens = answer.get("input_token_count")
        vectors = [result.get("embedding") for result in objects(answer.get("results"))]
        return vectors_reply(vectors, params, tokens if isinstance(tokens, int) else 0, self.name)

    def rerank_url(self, model: str, call: Call) -> str:
        return self.url("/text/rerank", call)

    def rerank_body(self, params: RerankRequest, query: str, texts: list[str], call: Call) -> dict[str, Any]:
        inputs = [{"text": text} for text in texts]
        extra = params.model_extra or {}
        return {**extra, "model_id": params.model, "query": query, "inputs": inputs, **self._placed(call)}

    def ranked(self, answer: Any) -> list[tuple[int, float]]:
        return [(item["index"], item["score"]) for item in answer["results"]]

    # --- addresses, models, tokens

    def url(self, path: str, call: Call, model: str | None = None) -> str:
        if path == "/models":
            return f"{self.base_url(call)}/ml/v1/foundation_model_specs?version={API_VERSION}&limit=200"
        return f"{self.base_url(call)}/ml/v1{path}?version={API_VERSION}"

    def listed_items(self, listed: Any) -> Any:
        return (listed.get("resources") or []) if isinstance(listed, dict) else None

    def listed_model(self, item: dict[str, Any]) -> ProviderModel | None:
        kinds = [kind for each in objects(item.get("functions")) if (kind := _FUNCTIONS.get(text_or(each.get("id"))))]
        name = item.get("model_id")
        if not kinds or not isinstance(name, str) or not 0 < len(name) <= MODEL_ID_CHARS_MAX:
            return None
        limits = mapping(item.get("model_limits"))
        named = {"context_length": "max_sequence_length", "embedding_dimension": "embedding_dimension"}
        return ProviderModel(
            name,
            kinds[0],
            {ours: limits[theirs] for ours, theirs in named.items() if isinstance(limits.get(theirs), int)},
        )

    async def headers(self, call: Call) -> Mapping[str, str]:
        headers = dict(await super().headers(call))
        said = headers.get("Authorization")
        if said is None:
            raise ProviderRejectedCredentials(f"'{self._key_in_data}' is empty.", code="upstream_key_missing")
        key, own = said.removeprefix("Bearer "), said == self._headers.get("Authorization")
        token = await self._tokens.token(key, shared=own)
        return headers | {"Authorization": f"Bearer {token.get_secret_value()}"}

    async def _refusal(self, reply: HttpReply, sent: Mapping[str, str]) -> LlamaStackError:
        if reply.status == 401:
            self._tokens.forget(sent["Authorization"].removeprefix("Bearer "))
        return error_of_reply(reply.status, reply.headers, await self._refused_with(reply, sent), self.name)

    async def _token_refusal(self, reply: HttpReply, key: str) -> LlamaStackError:
        return await self._refusal(reply, {"Authorization": f"Bearer {key}"})

    def _placed(self, call: Call) -> dict[str, str]:
        named = call.provider_data.get("watsonx_project_id")
        place = {"project_id": named.get_secret_value()} if named is not None else self._place
        if not place:
            raise InvalidRequest(
                f"Provider '{self.name}' has neither project_id nor space_id. Set one in the run config, or send "
                "watsonx_project_id in X-LlamaStack-Provider-Data."
            )
        return place


class _ChatStream(EncodedStream):
    """Its events lack `object` and have names and ids: what leaves here is a stream like any other's."""

    def __init__(self, source: EncodedStream, model: str, provider_name: str) -> None:
        self._source = source
        self._model = model
        self._provider = provider_name

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._events()

    async def aclose(self) -> None:
        await self._source.aclose()

    def masked(self, text: str) -> str:
        return self._source.masked(text)

    async def _events(self) -> AsyncIterator[bytes]:
        splitter = sse.EventSplitter()
        async for data in self._source:
            if block := self._completed(splitter, data):
                yield block
        if rest := splitter.finish():
            yield self._event(rest)

    def _completed(self, splitter: sse.EventSplitter, data: bytes) -> bytes:
        try:
            return b"".join(map(self._event, splitter.feed(data).split(b"\n\n")))
        except ValueError as error:  # an event beyond the limit
            raise ProviderStreamBroken(f"Provider '{self._provider}' broke the stream: {error}.") from None

    def _event(self, event: bytes) -> bytes:
        payload = sse.data_of(event)
        if not payload or payload == b"[DONE]":
            return sse.encode(payload) if payload else b""
        try:
            chunk = msgspec.json.decode(payload, type=dict[str, Any])
        except UNREADABLE:
            raise ProviderStreamBroken(f"Provider '{self._provider}' sent an event that is not JSON.") from None
        return sse.encode(msgspec.json.encode(_completed(chunk, "chat.completion.chunk", self._model)))


def _completed(answer: dict[str, Any], kind: str, model: str) -> dict[str, Any]:
    """The members that OpenAI's object has and watsonx's lacks."""
    return answer if "choices" not in answer else {"object": kind, "model": model, **answer}
