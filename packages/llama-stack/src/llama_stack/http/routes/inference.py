"""Chat completions, completions, embeddings and rerank: parse, serve, send."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from pydantic import BaseModel

from llama_stack.http.dispatch import Handler, Operation
from llama_stack.http.exchange import Exchange
from llama_stack.services.inference import Served
from llama_stack.services.inference_ports import Inference
from llama_stack.services.parsing import parse
from llama_stack_api.native.rerank import RerankRequest, RerankResponse
from llama_stack_api.openai.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionRequest
from llama_stack_api.openai.completions import Completion, CompletionRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest, EmbeddingsResponse
from llama_stack_api.principal import Call

P = TypeVar("P", bound=BaseModel)

PROVIDER_HEADER = b"x-llama-stack-provider"


def inference_operations(inference: Inference) -> list[Operation]:
    return [
        Operation(
            "POST",
            "/v1/chat/completions",
            serving(ChatCompletionRequest, inference.openai_chat_completion),
            name="create_chat_completion",
            summary="Answer a conversation, whole or as a stream.",
            tag="Chat",
            request=ChatCompletionRequest,
            reply=ChatCompletion,
            events=lambda: ChatCompletionChunk,
        ),
        Operation(
            "POST",
            "/v1/completions",
            serving(CompletionRequest, inference.openai_completion),
            name="create_completion",
            summary="Continue a prompt, whole or as a stream.",
            tag="Completions",
            request=CompletionRequest,
            reply=Completion,
            events=lambda: Completion,
        ),
        Operation(
            "POST",
            "/v1/embeddings",
            serving(EmbeddingsRequest, inference.openai_embeddings),
            name="create_embedding",
            summary="Embed texts as vectors.",
            tag="Embeddings",
            request=EmbeddingsRequest,
            reply=EmbeddingsResponse,
        ),
        Operation(
            "POST",
            "/v1alpha/inference/rerank",
            serving(RerankRequest, inference.rerank),
            name="rerank",
            summary="Order items by how well they answer a query.",
            tag="Rerank",
            request=RerankRequest,
            reply=RerankResponse,
        ),
    ]


def serving(request: type[P], serve: Callable[[P, Call], Awaitable[Served]]) -> Handler:
    async def handle(exchange: Exchange) -> None:
        served = await serve(parse(request, await exchange.read_json()), exchange.call())
        headers = [(PROVIDER_HEADER, served.provider_id.encode())]
        if isinstance(served.body, bytes):
            await exchange.send_json(served.body, 200, headers)
        else:
            await exchange.send_events(served.body, headers)

    return handle
