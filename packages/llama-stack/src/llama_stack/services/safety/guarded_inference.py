"""The inference service under guards: input is checked before a model sees it, output before anybody else does. Where
a shield redacts, they see what it leaves.

What is stored is what was sent. Where no guard stands at a method, it is the inference service's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from llama_stack.agent.guardrails import Guardrails
from llama_stack.agent.ports import Violation
from llama_stack.agent.together import together
from llama_stack.config.safety import GuardedApi
from llama_stack.services.inference import STORED_BYTES_MAX, InferenceRouter, Served, new_completion_id
from llama_stack.services.inference_ports import Inference, MessageInference
from llama_stack.services.safety.guarded_reply import guarded_reply
from llama_stack.services.safety.guarded_stream import GuardedStream, guarded_blocks
from llama_stack.services.safety.guards import Guard, Guards
from llama_stack.services.streams import Recorder, begun, recorded
from llama_stack_api.errors import ContentFiltered, InvalidRequest, NotImplementedByProvider
from llama_stack_api.native.rerank import RerankRequest
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.openai.completions import CompletionRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest
from llama_stack_api.principal import Call

if TYPE_CHECKING:
    from llama_stack_api.anthropic.messages import CreateMessageRequest

T = TypeVar("T")
P = TypeVar("P", CompletionRequest, EmbeddingsRequest)

TEXTS_AT_ONCE = 8
"""How many texts of one request are checked at a time."""


def guarded_inference(inference: InferenceRouter, guards: Guards, recorder: Recorder | None = None) -> Inference:
    """For OpenAI's routes: the very same object where no guard stands at them. `recorder` is the service's own."""
    chat, completions, embeddings = (guards.at(api) for api in _ROUTES)
    if chat is None and completions is None and embeddings is None:
        return inference
    return GuardedInference(inference, chat, completions, embeddings, recorder)


def guarded_messages(inference: InferenceRouter, guards: Guards) -> MessageInference:
    """For the Messages API: the very same object where no guard stands there."""
    guard = guards.at("messages")
    return inference if guard is None else GuardedMessages(inference, guard)


_ROUTES: tuple[GuardedApi, ...] = ("chat", "completions", "embeddings")


class GuardedInference:
    def __init__(
        self,
        inference: InferenceRouter,
        chat: Guard | None,
        completions: Guard | None = None,
        embeddings: Guard | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self._inference = inference
        self._chat = chat
        self._completions = completions
        self._embeddings = embeddings
        self._recorder = recorder

    async def openai_chat_completion(self, params: ChatCompletionRequest, call: Call) -> Served:
        if self._chat is None:
            return await self._inference.openai_chat_completion(params, call)
        rails = self._chat.of(call)
        messages = [message.model_dump(mode="json", exclude_unset=True) for message in params.messages]
        roles = [{"role": message.role, **said} for message, said in zip(params.messages, messages, strict=True)]
        left = _allowed(await rails.input(roles), "messages")
        if left is not roles:
            read = ChatCompletionRequest.model_validate({"model": params.model, "messages": left})
            params = params.model_copy(update={"messages": read.messages})
        if not rails.checks_output:
            return await self._inference.openai_chat_completion(params, call)
        recorder = self._recorder if params.store else None
        if recorder is None:
            return await _guarded(await self._inference.openai_chat_completion(params, call), rails, chat=True)
        recorder.check(params)
        served = await self._inference.openai_chat_completion(_unstored(params), call)
        return await _recorded(served, rails, recorder, params, call)

    async def openai_completion(self, params: CompletionRequest, call: Call) -> Served:
        if self._completions is None:
            return await self._inference.openai_completion(params, call)
        rails = self._completions.of(call)
        texts = {"prompt": params.prompt, "suffix": params.suffix}
        left = {name: await _left(rails, given, name) for name, given in texts.items()}
        served = await self._inference.openai_completion(_with(params, left), call)
        return await _guarded(served, rails, chat=False) if rails.checks_output else served

    async def openai_embeddings(self, params: EmbeddingsRequest, call: Call) -> Served:
        if self._embeddings is not None:
            params = _with(params, {"input": await _left(self._embeddings.of(call), params.input, "input")})
        return await self._inference.openai_embeddings(params, call)

    async def rerank(self, params: RerankRequest, call: Call) -> Served:
        return await self._inference.rerank(params, call)


class GuardedMessages:
    """Every request goes by way of a chat completion, which is where the guard stands."""

    def __init__(self, inference: InferenceRouter, guard: Guard) -> None:
        self._guarded = GuardedInference(inference, guard)

    async def openai_chat_completion(self, params: ChatCompletionRequest, call: Call) -> Served:
        return await self._guarded.openai_chat_completion(params, call)

    async def anthropic_messages(self, params: CreateMessageRequest, call: Call, *, named: str) -> Served:
        """Refused, so that the caller translates: nobody would read what passes untouched."""
        raise NotImplementedByProvider("Messages pass a guard here (safety.guards), and are translated for it.")


async def _guarded(served: Served, rails: Guardrails, *, chat: bool) -> Served:
    if isinstance(served.body, bytes):
        return replace(served, body=await guarded_reply(served.body, rails))
    return replace(served, body=await begun(guarded_blocks(served.body, GuardedStream(rails, chat=chat))))


async def _recorded(
    served: Served, rails: Guardrails, recorder: Recorder, params: ChatCompletionRequest, call: Call
) -> Served:
    identifier = new_completion_id()
    if isinstance(served.body, bytes):
        body = await guarded_reply(served.body, rails, identifier=identifier)
        await recorder.record(params, body, call)
        return replace(served, body=body)
    stream = GuardedStream(rails, chat=True, identifier=identifier)
    blocks = guarded_blocks(served.body, stream)
    return replace(served, body=await begun(recorded(blocks, stream, recorder, params, call, STORED_BYTES_MAX)))


def _unstored(params: ChatCompletionRequest) -> ChatCompletionRequest:
    """As the inference service itself asks for what it stores: without `store` and `metadata`."""
    copy = params.model_copy(update={"store": None, "metadata": None})
    copy.model_fields_set.difference_update(("store", "metadata"))
    return copy


Texts: TypeAlias = str | Sequence[Any] | None


async def _left(rails: Guardrails, given: Texts, param: str) -> Texts:
    """Each by itself: they are no conversation."""
    places = asyncio.Semaphore(TEXTS_AT_ONCE)

    async def left(text: str) -> str:
        async with places:
            [message] = _allowed(await rails.input([{"role": "user", "content": text}]), param)
            return str(message["content"])

    texts = await together([left(text) for text in _texts(given, param)])
    return given if given is None else texts[0] if isinstance(given, str) else texts


def _texts(given: Texts, param: str) -> list[str]:
    if given is None:
        return []
    if isinstance(given, str):
        return [given]
    if not all(isinstance(each, str) for each in given):
        raise InvalidRequest(
            f"{param!r} must be text here, not token ids: it passes a guard (safety.guards), which cannot read them.",
            param=param,
        )
    return list(given)


def _with(params: P, left: dict[str, Texts]) -> P:
    changed = {name: texts for name, texts in left.items() if texts != getattr(params, name)}
    return params.model_copy(update=changed) if changed else params


def _allowed(left: Violation | T, param: str) -> T:
    if isinstance(left, Violation):
        raise ContentFiltered(left.message, param=param)
    return left
