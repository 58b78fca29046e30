"""The endpoints that lines of batches can name, over our services."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from llama_stack.dialects.anthropic import errors as anthropic_errors
from llama_stack.dialects.openai import errors as openai_errors
from llama_stack.routing.table import Entry
from llama_stack.services.batches.lines import Endpoint, LineReply
from llama_stack.services.inference import Served
from llama_stack_api.errors import LlamaStackError
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.openai.completions import CompletionRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest
from llama_stack_api.openai.moderations import CreateModerationRequest, CreateModerationResponse
from llama_stack_api.openai.responses.request import ResponseRequest
from llama_stack_api.principal import Call

if TYPE_CHECKING:
    from llama_stack_api.anthropic.messages import CreateMessageRequest

SAFETY_LANE = "safety"


class Inference(Protocol):
    async def openai_chat_completion(self, params: ChatCompletionRequest, call: Call) -> Served: ...

    async def openai_completion(self, params: CompletionRequest, call: Call) -> Served: ...

    async def openai_embeddings(self, params: EmbeddingsRequest, call: Call) -> Served: ...


class Responses(Protocol):
    async def create(
        self, request: ResponseRequest, call: Call, *, idempotency_key: str | None = None
    ) -> bytes | AsyncGenerator[bytes, None]: ...


class Moderations(Protocol):
    async def create(self, request: CreateModerationRequest, call: Call) -> CreateModerationResponse: ...


class Models(Protocol):
    def lookup(self, identifier: str) -> Entry | None: ...


class Messages(Protocol):
    async def create(self, params: CreateMessageRequest, call: Call) -> Served: ...


class Names(Protocol):
    async def resolve(self, model: str, call: Call) -> str: ...


@dataclass(frozen=True, slots=True)
class Lanes:
    """At whose pace a request goes: its model's first provider's. Callers with keys of their own have limits of their
    own there, and are not slowed down by each other's."""

    models: Models

    def of(self, model: str, call: Call) -> str:
        entry = self.models.lookup(model)
        provider = model.partition("/")[0] if entry is None else entry.targets[0].provider_id
        if not call.provider_data:
            return provider
        return f"{provider} {call.principal.tenant} {call.principal.id}"


def openai_endpoints(
    inference: Inference, responses: Responses, moderations: Moderations | None, models: Models
) -> dict[str, Endpoint]:
    """Those of OpenAI's batches. Without moderations, that endpoint is not there."""
    lanes = Lanes(models)

    async def of_model(params: Any, call: Call) -> str:
        return lanes.of(params.model or "", call)

    async def respond(params: ResponseRequest, call: Call, key: str) -> bytes:
        reply = await responses.create(params, call, idempotency_key=key)
        assert isinstance(reply, bytes), "lines do not stream"
        return reply

    endpoints = {
        "/v1/chat/completions": Endpoint(
            lambda: ChatCompletionRequest, _whole(inference.openai_chat_completion), of_model, refused_by_openai
        ),
        "/v1/completions": Endpoint(
            lambda: CompletionRequest, _whole(inference.openai_completion), of_model, refused_by_openai
        ),
        "/v1/embeddings": Endpoint(
            lambda: EmbeddingsRequest, _whole(inference.openai_embeddings), of_model, refused_by_openai
        ),
        "/v1/responses": Endpoint(lambda: ResponseRequest, respond, of_model, refused_by_openai, timed=False),
    }
    if moderations is not None:
        endpoints["/v1/moderations"] = _moderations(moderations)
    return endpoints


def messages_endpoint(messages: Messages, names: Names, models: Models) -> dict[str, Endpoint]:
    """The one of Anthropic's batches."""
    lanes = Lanes(models)

    async def of_model(params: CreateMessageRequest, call: Call) -> str:
        return lanes.of(await names.resolve(params.model, call), call)

    def request() -> type[CreateMessageRequest]:
        from llama_stack_api.anthropic.messages import CreateMessageRequest

        return CreateMessageRequest

    return {"/v1/messages": Endpoint(request, _whole(messages.create), of_model, refused_by_anthropic)}


def refused_by_openai(error: LlamaStackError, request_id: str) -> LineReply:
    return LineReply(error.status, openai_errors.render(error), request_id)


def refused_by_anthropic(error: LlamaStackError, request_id: str) -> LineReply:
    return LineReply(anthropic_errors.status_of(error), anthropic_errors.render(error, request_id), request_id)


def _moderations(moderations: Moderations) -> Endpoint:
    async def moderate(params: CreateModerationRequest, call: Call, key: str) -> bytes:
        reply = await moderations.create(params, call)
        return reply.model_dump_json(exclude_none=True).encode()

    return Endpoint(lambda: CreateModerationRequest, moderate, _safety, refused_by_openai)


async def _safety(params: CreateModerationRequest, call: Call) -> str:
    return SAFETY_LANE


def _whole(serve: Callable[[Any, Call], Awaitable[Served]]) -> Callable[[Any, Call, str], Awaitable[bytes]]:
    async def whole(params: Any, call: Call, key: str) -> bytes:
        served = await serve(params, call)
        assert isinstance(served.body, bytes), "lines do not stream"
        return served.body

    return whole
