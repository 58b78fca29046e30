"""The agent's model: chat completions, as everybody gets them of the inference service."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Final, Protocol

from pydantic import BaseModel

from llama_stack.routing.table import Entry
from llama_stack.services.inference import Served
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.principal import Call

THOUGHTS: Final = "reasoning_content"
"""Where the agent puts what the model thought before."""


class ChatInference(Protocol):
    async def openai_chat_completion(self, params: ChatCompletionRequest, call: Call) -> Served: ...


class Models(Protocol):
    def lookup(self, model: str) -> Entry | None: ...


class RoutedModel:
    """`agent.ports.Model` over the inference service: routing, retries, fallback and metrics are its.

    Earlier thoughts go to providers that want them back (`ports.inference.TakesThoughts`), under the name that they
    have there; others refuse what they do not know.
    """

    def __init__(self, inference: ChatInference, models: Models) -> None:
        self._inference = inference
        self._models = models

    async def stream(self, params: ChatCompletionRequest, call: Call) -> AsyncGenerator[bytes, None]:
        served = await self._inference.openai_chat_completion(self._with_thoughts(params), call)
        assert isinstance(served.body, AsyncGenerator), "the agent asks for streams alone"
        return served.body

    def _with_thoughts(self, params: ChatCompletionRequest) -> ChatCompletionRequest:
        member = self._member(params.model)
        if member == THOUGHTS or not any(THOUGHTS in (message.model_extra or ()) for message in params.messages):
            return params
        return params.model_copy(update={"messages": [_renamed(message, member) for message in params.messages]})

    def _member(self, model: str) -> str | None:
        """The one name that all who may serve the model have for it."""
        entry = self._models.lookup(model)
        members = {getattr(target.provider, "thoughts_member", None) for target in entry.targets} if entry else set()
        return members.pop() if len(members) == 1 else None


def _renamed(message: BaseModel, member: str | None) -> Any:
    if THOUGHTS not in (message.model_extra or ()):
        return message
    said = message.model_dump(exclude_unset=True)
    thoughts = said.pop(THOUGHTS)
    return type(message).model_validate(said if member is None else {**said, member: thoughts})
