"""What an inference provider can do. A provider satisfies any subset; the server checks once, when it opens.

Parameters and replies are OpenAI's. `params.model` is the provider's own model id (`provider_model_id`), never ours.
A provider raises from `llama_stack_api.errors`; it retries nothing: retries, fallback and breakers are routing's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from llama_stack_api.native.rerank import RerankRequest, RerankResponse
from llama_stack_api.openai.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionRequest
from llama_stack_api.openai.completions import Completion, CompletionRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest, EmbeddingsResponse
from llama_stack_api.principal import Call
from llama_stack_api.wire import EncodedReply, EncodedStream

if TYPE_CHECKING:
    from llama_stack_api.anthropic.messages import CountTokensRequest, CreateMessageRequest, Message

ChatReply: TypeAlias = (
    ChatCompletion | EncodedReply[ChatCompletion] | AsyncIterator[ChatCompletionChunk] | EncodedStream
)
CompletionReply: TypeAlias = Completion | EncodedReply[Completion] | AsyncIterator[Completion] | EncodedStream
MessageReply: TypeAlias = "EncodedReply[Message] | EncodedStream"
EmbeddingsReply: TypeAlias = EmbeddingsResponse | EncodedReply[EmbeddingsResponse]


class ModelType(StrEnum):
    llm = "llm"
    embedding = "embedding"
    rerank = "rerank"


@dataclass(frozen=True, slots=True)
class ProviderModel:
    """A model that a provider serves, under the provider's own id.

    `metadata` is free; `embedding_dimension` (int), `context_length` (int, tokens) and `tool_calling` (bool: whether it
    can call tools) are the keys that we read.
    """

    id: str
    model_type: ModelType = ModelType.llm
    metadata: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class ChatCompletions(Protocol):
    async def openai_chat_completion(self, params: ChatCompletionRequest, call: Call) -> ChatReply:
        """A stream if `params.stream`, else a whole reply."""
        ...


@runtime_checkable
class Completions(Protocol):
    async def openai_completion(self, params: CompletionRequest, call: Call) -> CompletionReply: ...


@runtime_checkable
class Embeddings(Protocol):
    async def openai_embeddings(self, params: EmbeddingsRequest, call: Call) -> EmbeddingsReply: ...


@runtime_checkable
class Rerank(Protocol):
    async def rerank(self, params: RerankRequest, call: Call) -> RerankResponse: ...


@runtime_checkable
class ModelListing(Protocol):
    async def list_models(self, call: Call) -> list[ProviderModel]:
        """The models that the provider serves now, with the keys of `call` where it carries some."""
        ...


@runtime_checkable
class CountsTokens(Protocol):
    """Beside `ChatCompletions`, for models whose tokenizer is at hand."""

    async def count_chat_tokens(self, params: ChatCompletionRequest, call: Call) -> int:
        """How many tokens the messages and tools are as a prompt of the model, its chat template included."""
        ...


@runtime_checkable
class CreatesMessages(Protocol):
    """Beside `ChatCompletions`, where the upstream speaks Anthropic's Messages API itself: requests go to it untouched,
    but for the model's name. `call.forward_headers` has the client's `anthropic-beta` and `anthropic-version`."""

    async def anthropic_messages(self, params: CreateMessageRequest, call: Call) -> MessageReply:
        """A stream of the Messages API's events if `params.stream`, else a whole message."""
        ...


@runtime_checkable
class CountsMessageTokens(Protocol):
    """Beside `CreatesMessages`, where the upstream counts a request's tokens itself."""

    async def anthropic_count_tokens(self, params: CountTokensRequest, call: Call) -> int: ...


@runtime_checkable
class TellsTools(Protocol):
    """Beside `ChatCompletions`, where some models cannot call tools, and a listing does not say which."""

    async def takes_tools(self, model: str, call: Call) -> bool:
        """Whether the model can be offered tools. It may be loaded to find out."""
        ...


@runtime_checkable
class TakesThoughts(Protocol):
    """Models that want back what they thought before: `thoughts_member` is the member of an assistant's message that
    carries it (`reasoning_content`). None: the provider refuses such a member."""

    @property
    def thoughts_member(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far the provider is with a model. `status` is in its own words; `completed` and `total` are the bytes of what
    it is fetching now, where it tells them."""

    status: str
    completed: int | None = None
    total: int | None = None


@runtime_checkable
class PullsModels(Protocol):
    """Providers that fetch models by themselves when they are told to."""

    def pull_model(self, model: str, call: Call) -> AsyncIterator[PullProgress]:
        """Fetch a model, and what is missing of it only. The model is there when the iteration ends; whoever gives up
        earlier leaves it unfinished."""
        ...


INFERENCE_PORTS: tuple[type, ...] = (ChatCompletions, Completions, Embeddings, Rerank)
"""An inference provider satisfies at least one of these."""
