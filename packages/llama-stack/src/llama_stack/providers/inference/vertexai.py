"""Vertex AI: Google's models within a project of Google Cloud, in a place of one's choice."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec
from pydantic import Field, field_validator

from llama_stack.dialects.chat.values import Json, mapping, objects, text_or, without_nulls
from llama_stack.net.config import NetworkConfig
from llama_stack.providers._shared.addresses import checked_address
from llama_stack.providers._shared.gemini_chat import GeminiChat
from llama_stack.providers._shared.gemini_embeddings import (
    batches,
    own_member,
    reply_of,
    texts_of,
    tokens_in,
    vectors_in,
)
from llama_stack.providers._shared.google_credentials import GoogleCredentials
from llama_stack.providers._shared.google_upstream import GoogleConfig
from llama_stack.providers._shared.health import health_of
from llama_stack_api.api import Api
from llama_stack_api.errors import InvalidRequest, LlamaStackError, ProviderError
from llama_stack_api.openai.embeddings import EmbeddingsRequest, EmbeddingsResponse
from llama_stack_api.ports.http import HttpReply
from llama_stack_api.ports.inference import ModelType, ProviderModel
from llama_stack_api.principal import SYSTEM_CALL, Call
from llama_stack_api.provider import HealthResponse, ProviderContext, provider
from llama_stack_api.wire import EncodedReply

VERSION = "v1beta1"
"""Of the API: the one that Google's own packages ask for."""
PREDICTED_AT_ONCE = 250
"""Texts in a :predict of the older embedding models; those named after Gemini take one."""
EMBEDDING_REQUESTS_AT_ONCE = 8
PLACE = r"^[a-z0-9-]{1,64}$"
"""A location becomes part of a host name."""
PROJECT = r"^[a-z0-9][a-z0-9.:-]{0,99}$"
_MULTI_REGIONS = ("us", "eu")
_COUNTED = ("systemInstruction", "contents", "tools", "generationConfig")
"""What countTokens takes of a request."""
_Embedded: TypeAlias = tuple[list[list[float]], int]
"""Vectors, and the tokens of their texts."""
_NO_CHAT = ("-tts", "-live", "-audio")


class VertexAIConfig(GoogleConfig):
    base_url: str = ""
    """Empty: the public address of `location`. Else an address of one's own (Private Service Connect)."""
    project: str | None = Field(default=None, pattern=PROJECT)
    """None: the project of the credentials."""
    location: str = Field(default="global", pattern=PLACE)
    """`global`, a region (`europe-west4`), or `us`, `eu`."""

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        return checked_address(url) if url else url


@provider(
    api=Api.inference,
    type="remote::vertexai",
    description="Google's models on Vertex AI, by service account, workload identity or any other credentials of "
    "Google Cloud: chat with tools, images, audio and PDFs, thoughts and JSON schemas; embeddings; token counts.",
    config=VertexAIConfig,
    sample={"project": "${env.VERTEX_AI_PROJECT:=}", "location": "${env.VERTEX_AI_LOCATION:=global}"},
    turned_on_by="VERTEX_AI_PROJECT",
    data_keys={
        "vertex_api_key": "api_key",
        "vertex_access_token": "access_token",
        "vertex_project": "project",
        "vertex_location": "location",
    },
    pip_packages=("google-auth>=2.40,<3",),
)
class VertexAI(GeminiChat):
    def __init__(self, config: VertexAIConfig, context: ProviderContext) -> None:
        super().__init__(config, context)
        network = config.network or NetworkConfig()
        # The headers of the operator's gateway are no business of Google's token services.
        tokens = context.http(network.model_copy(update={"headers": {}}))
        hint = f", or send {self._in_data['access_token']} or {self._key_in_data} in X-LlamaStack-Provider-Data"
        self._credentials = GoogleCredentials(tokens, self.name, otherwise=hint)

    async def health(self) -> HealthResponse:
        return await health_of(self.list_models(SYSTEM_CALL))

    # --- who asks, and where

    def billed(self, call: Call) -> None:
        """The address says it."""

    @property
    def key_required(self) -> bool:
        return False

    async def headers(self, call: Call) -> Mapping[str, str]:
        if not self._finds_credentials(call):
            return await super().headers(call)
        token = await self._credentials.token()
        return self.headers_with_token(token.value, token.quota_project)

    def _finds_credentials(self, call: Call) -> bool:
        """Neither the call nor the config says who asks."""
        own = (self._key_in_data, self._in_data["access_token"])
        given = self.config.api_key is not None or self._token is not None
        return not given and not any(key in call.provider_data for key in own)

    async def _refusal(self, reply: HttpReply, sent: Mapping[str, str]) -> LlamaStackError:
        if reply.status == 401:
            self._credentials.expire(sent.get("Authorization", "").removeprefix("Bearer "))
        return await super()._refusal(reply, sent)

    async def model_url(self, model: str, method: str, call: Call) -> str:
        location = self._placed(call, "location", PLACE) or "global"
        name = self.checked_name(model).removeprefix("google/")
        if not name.startswith(("publishers/", "endpoints/")):
            name = f"publishers/google/models/{name}"
        project = await self._project(call)
        return f"{self._root(location)}/{VERSION}/projects/{project}/locations/{location}/{name}:{method}"

    def _root(self, location: str) -> str:
        if self._base_url:
            return self._base_url
        if location == "global":
            return "https://aiplatform.googleapis.com"
        if location in _MULTI_REGIONS:
            return f"https://aiplatform.{location}.rep.googleapis.com"
        return f"https://{location}-aiplatform.googleapis.com"

    def _placed(self, call: Call, field: str, pattern: str) -> str | None:
        """`location` or `project`, which become parts of the address. A call may say them."""
        value = self.named(call, field)
        if value is not None and not re.fullmatch(pattern, value):
            raise InvalidRequest(f"'{self._in_data[field]}' is no {field} of Google Cloud.", param=self._in_data[field])
        return value

    async def _project(self, call: Call) -> str:
        project = self._placed(call, "project", PROJECT)
        if project is None and self._finds_credentials(call):
            project = (await self._credentials.token()).project
        if project is None:
            raise InvalidRequest(
                f"Provider '{self.name}' has no project. Set it in the run config, or send {self._in_data['project']} "
                "in X-LlamaStack-Provider-Data."
            )
        return project

    # --- embeddings

    async def openai_embeddings(self, params: EmbeddingsRequest, call: Call) -> EncodedReply[EmbeddingsResponse]:
        texts = texts_of(params, self.name)
        one_by_one = "gemini-embedding" in params.model
        at_once = asyncio.Semaphore(EMBEDDING_REQUESTS_AT_ONCE)

        async def asked(batch: list[str]) -> _Embedded:
            async with at_once:
                return await self._embedded(batch, params, call)

        many = batches(texts, 1 if one_by_one else PREDICTED_AT_ONCE)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(asked(batch)) for batch in many]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        found = [task.result() for task in tasks]
        vectors = [vector for each in found for vector in each[0]]
        return reply_of(vectors, sum(tokens for _, tokens in found), params)

    async def _embedded(self, texts: list[str], params: EmbeddingsRequest, call: Call) -> _Embedded:
        """By :predict, or for Gemini's second generation by the :embedContent that took its place."""
        task, title = own_member(params, "task_type"), own_member(params, "title")
        if "gemini-embedding-" in params.model and "gemini-embedding-001" not in params.model:
            body: Json = {
                "content": {"parts": [{"text": texts[0]}]},
                "outputDimensionality": params.dimensions,
                "taskType": task,
                "title": title,
            }
            answer = await self._answered(params, "embedContent", body, call)
            vectors = vectors_in([answer.get("embedding")], 1, self.name)
            return vectors, tokens_in(answer.get("usageMetadata"))
        instances = [without_nulls({"content": text, "task_type": task, "title": title}) for text in texts]
        body = {"instances": instances, "parameters": {"outputDimensionality": params.dimensions}}
        answer = await self._answered(params, "predict", body, call)
        predicted = [mapping(each.get("embeddings")) for each in objects(answer.get("predictions"))]
        counts = [mapping(each.get("statistics")).get("token_count") for each in predicted]
        return vectors_in(predicted, len(texts), self.name), sum(int(c) for c in counts if isinstance(c, int | float))

    async def _answered(self, params: EmbeddingsRequest, method: str, body: Json, call: Call) -> Json:
        body = {name: without_nulls(value) if isinstance(value, dict) else value for name, value in body.items()}
        url = await self.model_url(params.model, method, call)
        answer = await self.decoded(await self.post(url, msgspec.json.encode(without_nulls(body)), call))
        if not isinstance(answer, dict):
            raise ProviderError(f"Provider '{self.name}' answered with something that holds no embeddings.")
        return answer

    # --- models and tokens

    def counting_body(self, request: Json, model: str) -> Json:
        return {name: request[name] for name in _COUNTED if name in request}

    async def listing(self, call: Call) -> Any:
        location = self._placed(call, "location", PLACE) or "global"
        url = f"{self._root(location)}/{VERSION}/publishers/google/models?pageSize=100"
        return await self.paged(url, "publisherModels", call)

    def listed_model(self, item: Json) -> ProviderModel | None:
        """The list has all that Google publishes, and does not say what it is for: the name does."""
        name = text_or(item.get("name")).rpartition("/")[2]
        if "embedding" in name and "multimodal" not in name:
            return ProviderModel(name, ModelType.embedding)
        chats = name.startswith("gemini-") and not any(word in name for word in _NO_CHAT)
        return ProviderModel(name) if chats else None
