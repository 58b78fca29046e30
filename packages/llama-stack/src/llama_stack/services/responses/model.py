"""The agent's model: chat completions, as everybody gets them of the inference service."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final, Protocol

from pydantic import BaseModel

from llama_stack.routing.table import Entry
from llama_stack.services.inference_ports import ChatInference
from llama_stack_api.errors import LlamaStackError
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.principal import Call

THOUGHTS: Final = "reasoning_content"
"""Where the agent puts what the model thought before."""

_OURS: Final[Mapping[str, str]] = {
    "max_completion_tokens": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "response_format.json_schema": "text.format",
    "response_format": "text.format",
    "verbosity": "text.verbosity",
}
"""Parameters of chat completions as requests for responses have them."""


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
        try:
            served = await self._inference.openai_chat_completion(self._with_thoughts(params), call)
        except LlamaStackError as error:
            error.param = param_of_response(error.param)
            raise
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


def param_of_response(param: str | None) -> str | None:
    """What of a request for a response is meant where a chat completion's `param` is to blame."""
    if param is None:
        return None
    if param.startswith("messages"):
        return "input"
    return next((ours + param[len(name) :] for name, ours in _OURS.items() if param.startswith(name)), param)


def _renamed(message: BaseModel, member: str | None) -> Any:
    if THOUGHTS not in (message.model_extra or ()):
        return message
    said = message.model_dump(exclude_unset=True)
    thoughts = said.pop(THOUGHTS)
    return type(message).model_validate(said if member is None else {**said, member: thoughts})
