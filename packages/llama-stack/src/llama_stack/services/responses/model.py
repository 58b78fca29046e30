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

SIGNED_THOUGHTS: Final = "thinking_blocks"
"""Where it puts what the model's provider signed of that."""

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

    Earlier thoughts go to providers that want them back: their text under the name that it has there
    (`ports.inference.TakesThoughts`), and what was signed as it was (`takes_thinking_blocks`). Others refuse what they
    do not know.
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
        if not any(_has_thoughts(message) for message in params.messages):
            return params
        member, signed = self._taken(params.model)
        if member == THOUGHTS and signed:
            return params
        return params.model_copy(update={"messages": [_with(message, member, signed) for message in params.messages]})

    def _taken(self, model: str) -> tuple[str | None, bool]:
        """The one name that all who may serve the model have for thoughts, and whether all take signed ones."""
        entry = self._models.lookup(model)
        providers = [target.provider for target in entry.targets] if entry else []
        members = {getattr(provider, "thoughts_member", None) for provider in providers}
        signed = bool(providers) and all(getattr(each, "takes_thinking_blocks", False) for each in providers)
        return (members.pop() if len(members) == 1 else None), signed


def param_of_response(param: str | None) -> str | None:
    """What of a request for a response is meant where a chat completion's `param` is to blame."""
    if param is None:
        return None
    if param.startswith("messages"):
        return "input"
    return next((ours + param[len(name) :] for name, ours in _OURS.items() if param.startswith(name)), param)


def _has_thoughts(message: BaseModel) -> bool:
    said = message.model_extra
    return said is not None and (THOUGHTS in said or SIGNED_THOUGHTS in said)


def _with(message: BaseModel, member: str | None, signed: bool) -> Any:
    if not _has_thoughts(message):
        return message
    said = message.model_dump(exclude_unset=True)
    thoughts = said.pop(THOUGHTS, None)
    if not signed:
        said.pop(SIGNED_THOUGHTS, None)
    if member is not None and thoughts is not None:
        said[member] = thoughts
    return type(message).model_validate(said)
