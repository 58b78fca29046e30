"""Ollama: local models. Requests go to its OpenAI-compatible routes and their answers come back as they are, but for
those that ask for what only Ollama's own API has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

import msgspec
from pydantic import BaseModel, Field, field_validator, model_validator

from llama_stack.dialects.ollama.to_ollama import wants_ollamas_own
from llama_stack.providers._shared.messages_upstream_local import LocalMessagesUpstream
from llama_stack.providers._shared.ollama_chat import OllamaChat
from llama_stack.providers._shared.ollama_pulls import Pulling, Pulls, full_name
from llama_stack.providers._shared.openai_compatible import OpenAICompatible, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import ENGINES_IGNORE, Quirks
from llama_stack_api.api import Api
from llama_stack_api.errors import InvalidRequest, ModelNotFound, NotImplementedByProvider, UnsupportedParameter
from llama_stack_api.openai.chat import ChatCompletion, ChatCompletionRequest
from llama_stack_api.openai.completions import Completion, CompletionRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest, EmbeddingsResponse
from llama_stack_api.ports.inference import ModelType, ProviderModel
from llama_stack_api.principal import SYSTEM_CALL, Call
from llama_stack_api.provider import ProviderContext, provider
from llama_stack_api.wire import EncodedReply, EncodedStream

if TYPE_CHECKING:
    from llama_stack_api.anthropic.messages import CountTokensRequest


class OllamaConfig(OpenAICompatibleConfig):
    base_url: str = "http://localhost:11434/v1"
    context_length: int | None = Field(default=None, ge=1)
    """Tokens of context that models are loaded with (Ollama's `num_ctx`). None: as the Ollama server is set, which by
    default is less than most models can. This, `keep_alive` and `options` hold for chat and embeddings, which then go
    by Ollama's own API, and where a request says nothing else."""
    keep_alive: int | str | None = None
    """How long a model stays loaded after a request: seconds or `10m`, 0 not at all, -1 for ever. None: as the Ollama
    server is set."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Ollama's options for every request: `{num_gpu: 20, repeat_penalty: 1.1}`."""
    pull_models: list[str] = Field(default_factory=list)
    """Models that are fetched at start, in the background, where the Ollama server has them not. Its list is then read
    again at every refresh, unless `refresh_models` says otherwise."""
    pull: bool = False
    """Whether `allowed_models` are fetched at start, too."""
    preload_models: list[str] = Field(default_factory=list)
    """Models that are loaded at start, so that the first request need not wait for it."""

    @field_validator("keep_alive")
    @classmethod
    def _seconds_are_a_number(cls, value: int | str | None) -> int | str | None:
        """From the environment they come as text, which Ollama takes with a unit only."""
        return int(value) if isinstance(value, str) and value.removeprefix("-").isdigit() else value

    @model_validator(mode="after")
    def _what_is_fetched_is_listed_later(self) -> Self:
        if (self.pull or self.pull_models) and "refresh_models" not in self.model_fields_set:
            self.refresh_models = True
        return self


def _choose_tools(body: dict[str, Any]) -> None:
    """Ollama reads `tool_choice` over: `none` is honoured by sending no tools, `auto` is what it does anyway."""
    choice = body.pop("tool_choice", None)
    if choice == "none":
        body.pop("tools", None)
    elif choice not in (None, "auto"):
        raise UnsupportedParameter(
            "Ollama cannot be made to call a tool: tool_choice can be auto or none.", param="tool_choice"
        )


@provider(
    api=Api.inference,
    type="remote::ollama",
    description="Models on an Ollama server: chat, completions and embeddings. What it has pulled is what it serves, "
    "each with its context length and whether it can call tools; `llama stack models pull` fetches more. A request may "
    "hold Ollama's own keep_alive, options, think, num_ctx, top_k, min_p, ... Images must be data: URLs.",
    config=OllamaConfig,
    sample={"base_url": "${env.OLLAMA_URL:=http://localhost:11434/v1}"},
    turned_on_by="OLLAMA_URL",
    data_keys={"ollama_api_key": "api_key"},
)
class Ollama(OllamaChat, OpenAICompatible, LocalMessagesUpstream):
    chooses_tools = False
    takes_image_urls: ClassVar[bool] = False
    quirks = Quirks(
        key_required=False,
        root="/v1",
        thoughts="reasoning",
        rename={"max_completion_tokens": "max_tokens"},
        refuse={**ENGINES_IGNORE, "logit_bias": ({},), "n": (1,), "parallel_tool_calls": (True,)},
        reshape=_choose_tools,
    )

    config: OllamaConfig

    def __init__(self, config: OllamaConfig, context: ProviderContext) -> None:
        super().__init__(config, context)
        context_length = {} if config.context_length is None else {"num_ctx": config.context_length}
        self._options: dict[str, Any] = {**context_length, **config.options}
        self._always_native = bool(self._options) or config.keep_alive is not None
        pulling = Pulling(self._names_here, partial(self.pull_model, call=SYSTEM_CALL), self._load)
        self._pulls = Pulls(self.name, pulling)

    async def open(self) -> None:
        allowed = self.config.allowed_models or [] if self.config.pull else []
        self._pulls.start(list(dict.fromkeys([*self.config.pull_models, *allowed])), self.config.preload_models)

    async def close(self) -> None:
        await self._pulls.close()

    def standing(self) -> Mapping[str, Any]:
        return {"keep_alive": self.config.keep_alive, "options": self._options}

    def adapted(self, model: ProviderModel) -> ProviderModel:
        context = self._options.get("num_ctx")
        if not isinstance(context, int) or model.model_type is not ModelType.llm:
            return model
        can = model.metadata.get("context_length", context)
        return replace(model, metadata={**model.metadata, "context_length": min(context, can)})

    async def openai_chat_completion(
        self, params: ChatCompletionRequest, call: Call
    ) -> EncodedReply[ChatCompletion] | EncodedStream:
        with self._saying_how_to_pull(params.model):
            if self._is_native(params):
                return await self.native_chat(params, call)
            return await super().openai_chat_completion(params, call)

    async def openai_completion(
        self, params: CompletionRequest, call: Call
    ) -> EncodedReply[Completion] | EncodedStream:
        with self._saying_how_to_pull(params.model):
            return await super().openai_completion(params, call)

    async def openai_embeddings(self, params: EmbeddingsRequest, call: Call) -> EncodedReply[EmbeddingsResponse]:
        with self._saying_how_to_pull(params.model):
            if self._is_native(params):
                return await self.native_embeddings(params, call)
            return await super().openai_embeddings(params, call)

    def check_message(self, params: CountTokensRequest) -> None:
        super().check_message(params)
        if self._always_native:
            raise NotImplementedByProvider(f"The Messages API of provider '{self.name}' takes none of its settings.")

    def _is_native(self, params: BaseModel) -> bool:
        return self._always_native or wants_ollamas_own(params.model_extra or {})

    @contextmanager
    def _saying_how_to_pull(self, model: str) -> Iterator[None]:
        try:
            yield
        except ModelNotFound as error:
            percent = self._pulls.progress.get(model)
            hint = f"Pull it: llama stack models pull {self.name}/{model}"
            if percent is not None:
                hint = f"It is being pulled ({percent} % of what is fetched now)"
            raise ModelNotFound(f"{error.message.rstrip('.')}. {hint}.", param="model") from None

    async def _names_here(self) -> Sequence[str]:
        return [full_name(tag["name"]) for tag in await self.tags(SYSTEM_CALL)]

    async def _load(self, model: str) -> None:
        """A request to generate nothing, or to embed nothing, loads the model."""
        request: dict[str, Any] = {"model": model, "options": self._options}
        if self.config.keep_alive is not None:
            request["keep_alive"] = self.config.keep_alive
        try:
            await self._post_native("/api/generate", {**request, "stream": False})
        except InvalidRequest:
            await self._post_native("/api/embed", {**request, "input": []})

    async def _post_native(self, path: str, request: Mapping[str, Any]) -> None:
        reply = await self.post(self.native(path, SYSTEM_CALL), msgspec.json.encode(request), SYSTEM_CALL)
        await reply.aclose()
