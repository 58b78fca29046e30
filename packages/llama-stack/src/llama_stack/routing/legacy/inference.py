"""Inference: replies as ours, whatever objects the package builds them of, and its models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from llama_stack.routing.legacy.calls import has
from llama_stack_api.errors import NotImplementedByProvider, ProviderError
from llama_stack_api.models import GetModelRequest, Model
from llama_stack_api.openai.chat import ChatCompletion, ChatCompletionChunk
from llama_stack_api.openai.completions import Completion
from llama_stack_api.openai.embeddings import EmbeddingsResponse
from llama_stack_api.ports.inference import ModelType, ProviderModel
from llama_stack_api.principal import Call
from llama_stack_api.resource import ResourceType
from llama_stack_api.wire import EncodedReply, EncodedStream

Method = Callable[..., Any]
M = TypeVar("M", bound=BaseModel)

REPLIES: dict[str, tuple[type[BaseModel], type[BaseModel]]] = {
    "openai_chat_completion": (ChatCompletion, ChatCompletionChunk),
    "openai_completion": (Completion, Completion),
    "openai_embeddings": (EmbeddingsResponse, EmbeddingsResponse),
}
"""By method: a whole reply, and the items of a stream."""


def inference_methods(impl: Any, without_call: Callable[[Method], Method]) -> Iterator[tuple[str, Method]]:
    for name in REPLIES:
        if has(impl, name):
            yield name, _replying(name, without_call(getattr(impl, name)))
    if has(impl, "list_models"):
        yield "list_models", _listing(without_call(impl.list_models))


def _replying(name: str, method: Method) -> Method:
    whole, item = REPLIES[name]

    async def reply(params: BaseModel, call: Call) -> Any:
        try:
            said = await method(params, call)
        except NotImplementedError as error:
            raise NotImplementedByProvider(f"This provider does not implement {name}.") from error
        if isinstance(said, EncodedReply | EncodedStream):
            return said
        return _items(said, item) if isinstance(said, AsyncIterator) else as_type(said, whole)

    return reply


async def _items(stream: AsyncIterator[Any], item: type[M]) -> AsyncIterator[M]:
    try:
        async for each in stream:
            yield as_type(each, item)
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()


def as_type(said: Any, wanted: type[M]) -> M:
    """An object of ours: made of the `openai` package's, or of a dict, where it is not one yet."""
    if isinstance(said, wanted):
        return said
    try:
        return wanted.model_validate(said.model_dump(exclude_unset=True) if isinstance(said, BaseModel) else said)
    except ValidationError:  # without its cause, which would show what was said
        raise ProviderError(
            f"The provider answered with a {type(said).__name__} that is no {wanted.__name__}."
        ) from None


def _listing(method: Method) -> Method:
    async def list_models(call: Call) -> list[ProviderModel]:
        return [
            ProviderModel(
                id=model.provider_resource_id or model.identifier,
                model_type=ModelType(str(getattr(model.model_type, "value", model.model_type))),
                metadata=dict(model.metadata or {}),
            )
            for model in await method(call) or ()
        ]

    return list_models


class LegacyModelStore:
    """The attribute `model_store` of an inference provider. It is asked by the provider's own ids."""

    def __init__(self, provider_id: str) -> None:
        self._provider_id = provider_id

    async def get_model(self, identifier: str | GetModelRequest) -> Model:
        model_id = identifier if isinstance(identifier, str) else identifier.model_id
        return Model(
            identifier=model_id, provider_resource_id=model_id, provider_id=self._provider_id, type=ResourceType.model
        )

    async def has_model(self, identifier: str) -> bool:
        return True
