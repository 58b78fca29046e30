"""What a request asks for that a model may do without: more tokens than it has, an effort that it does not know."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from llama_stack_api.errors import InvalidRequest
from llama_stack_api.openai.chat import ChatCompletionRequest

WISHES: Final[Mapping[str, tuple[str, ...]]] = {
    "max_completion_tokens": ("max_completion_tokens", "max_tokens"),
    "reasoning_effort": ("reasoning_effort", "reasoning.effort"),
}
"""Parameters, and how the errors of providers call them."""
REFUSALS_MAX: Final = 1024


class Wishes:
    """Remembers which values a model has refused."""

    def __init__(self) -> None:
        self._refused: OrderedDict[tuple[str, str, Any], None] = OrderedDict()

    def granted(self, params: ChatCompletionRequest) -> ChatCompletionRequest:
        """The request without what its model is known to refuse."""
        for name in WISHES:
            if (params.model, name, getattr(params, name)) in self._refused:
                params = _without(params, name)
        return params

    def without(self, params: ChatCompletionRequest, error: InvalidRequest) -> ChatCompletionRequest:
        """The request without the wish that the refusal is about; raises `error` if it is about none."""
        for name, names in WISHES.items():
            if getattr(params, name) is not None and _is_about(error, names):
                self._refused[params.model, name, getattr(params, name)] = None
                if len(self._refused) > REFUSALS_MAX:
                    self._refused.popitem(last=False)
                return _without(params, name)
        raise error


def _is_about(error: InvalidRequest, names: tuple[str, ...]) -> bool:
    """Not every provider says which parameter it means, but in words."""
    return error.param in names or (error.param is None and any(name in error.message for name in names))


def _without(params: ChatCompletionRequest, name: str) -> ChatCompletionRequest:
    asked = params.model_dump(exclude_unset=True)
    del asked[name]
    return ChatCompletionRequest.model_validate(asked)
