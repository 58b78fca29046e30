"""The inference API under the names of `llama-stack-api` 0.7: our types, and the protocol that its providers implement.

New code imports the types from `llama_stack_api.openai`, and implements the ports of `llama_stack_api.ports.inference`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Annotated, Literal, Protocol, TypeAlias, runtime_checkable

from pydantic import Field

from llama_stack_api.base import WireModel
from llama_stack_api.common.content_types import InterleavedContent
from llama_stack_api.models import Model
from llama_stack_api.native.rerank import RerankData, RerankRequest, RerankResponse
from llama_stack_api.openai import chat, chat_messages, chat_tools, completions, embeddings, stored
from llama_stack_api.openai.chat import SystemMessage, UserMessage

__all__ = [
    # messages
    "OpenAIMessageParam", "OpenAISystemMessageParam", "OpenAIDeveloperMessageParam", "OpenAIUserMessageParam",
    "OpenAIAssistantMessageParam", "OpenAIToolMessageParam", "SystemMessage", "UserMessage", "ToolResponseMessage",
    "OpenAIChatCompletionMessageContent", "OpenAIChatCompletionTextOnlyMessageContent",
    "OpenAIChatCompletionContentPartParam", "OpenAIChatCompletionContentPartTextParam",
    "OpenAIChatCompletionContentPartImageParam", "OpenAIImageURL", "OpenAIFile", "OpenAIFileFile",
    "OpenAIChatCompletionToolCall", "OpenAIChatCompletionToolCallFunction", "OpenAIChatCompletionCustomToolCall",
    "OpenAIChatCompletionCustomToolCallFunction",
    # chat requests
    "OpenAIChatCompletionRequestWithExtraBody", "OpenAIResponseFormatParam", "OpenAIResponseFormatText",
    "OpenAIResponseFormatJSONObject", "OpenAIResponseFormatJSONSchema", "OpenAIJSONSchema",
    "OpenAIChatCompletionToolChoice", "OpenAIChatCompletionToolChoiceAllowedTools",
    "OpenAIChatCompletionToolChoiceFunctionTool", "OpenAIChatCompletionToolChoiceCustomTool", "ServiceTier",
    # chat replies
    "OpenAIChatCompletion", "OpenAIChoice", "OpenAIChatCompletionResponseMessage", "OpenAIFinishReason",
    "OpenAIChoiceLogprobs", "OpenAITokenLogProb", "OpenAITopLogProb", "OpenAIChatCompletionUsage",
    "OpenAIChatCompletionUsageCompletionTokensDetails", "OpenAIChatCompletionUsagePromptTokensDetails",
    "OpenAIChatCompletionChunk", "OpenAIChunkChoice", "OpenAIChoiceDelta",
    # stored completions
    "OpenAICompletionWithInputMessages", "ListOpenAIChatCompletionResponse", "ListChatCompletionsRequest",
    "GetChatCompletionRequest",
    # completions, embeddings, rerank
    "OpenAICompletionRequestWithExtraBody", "OpenAICompletion", "OpenAICompletionChoice", "OpenAICompletionLogprobs",
    "OpenAIEmbeddingsRequestWithExtraBody", "OpenAIEmbeddingsResponse", "OpenAIEmbeddingData", "OpenAIEmbeddingUsage",
    "RerankRequest", "RerankResponse", "RerankData",
    # sampling
    "SamplingParams", "SamplingStrategy", "GreedySamplingStrategy", "TopPSamplingStrategy", "TopKSamplingStrategy",
    "TextTruncation", "EmbeddingTaskType",
    # protocols
    "Inference", "InferenceProvider", "ModelStore", "InterleavedContent",
]  # fmt: skip

OpenAIMessageParam: TypeAlias = chat.Message
OpenAISystemMessageParam = chat.SystemMessage
OpenAIDeveloperMessageParam = chat.DeveloperMessage
OpenAIUserMessageParam = chat.UserMessage
OpenAIAssistantMessageParam = chat.AssistantMessage
OpenAIToolMessageParam = chat.ToolMessage
OpenAIChatCompletionMessageContent: TypeAlias = chat.Content
OpenAIChatCompletionTextOnlyMessageContent: TypeAlias = chat.Content
OpenAIChatCompletionContentPartParam: TypeAlias = chat.ContentPart
OpenAIChatCompletionContentPartTextParam = chat.TextPart
OpenAIChatCompletionContentPartImageParam = chat.ImagePart
OpenAIImageURL = chat.ImageURL
OpenAIFile = chat.FilePart
OpenAIFileFile = chat_messages.InputFile
OpenAIChatCompletionToolCall = chat.FunctionToolCall
OpenAIChatCompletionToolCallFunction = chat.FunctionCall
OpenAIChatCompletionCustomToolCall = chat.CustomToolCall
OpenAIChatCompletionCustomToolCallFunction = chat_messages.CustomCall

OpenAIChatCompletionRequestWithExtraBody = chat.ChatCompletionRequest
OpenAIResponseFormatParam: TypeAlias = chat.ResponseFormat
OpenAIResponseFormatText = chat.ResponseFormatText
OpenAIResponseFormatJSONObject = chat.ResponseFormatJsonObject
OpenAIResponseFormatJSONSchema = chat.ResponseFormatJsonSchema
OpenAIJSONSchema = chat.JsonSchemaDefinition
OpenAIChatCompletionToolChoice: TypeAlias = chat.ToolChoice
OpenAIChatCompletionToolChoiceAllowedTools = chat_tools.AllowedToolsChoice
OpenAIChatCompletionToolChoiceFunctionTool = chat_tools.FunctionToolChoice
OpenAIChatCompletionToolChoiceCustomTool = chat_tools.CustomToolChoice
ServiceTier: TypeAlias = chat.ServiceTier

OpenAIChatCompletion = chat.ChatCompletion
OpenAIChoice = chat.Choice
OpenAIChatCompletionResponseMessage = chat.ChatCompletionMessage
OpenAIFinishReason: TypeAlias = chat.FinishReason
OpenAIChoiceLogprobs = chat.ChoiceLogprobs
OpenAITokenLogProb = chat.TokenLogprob
OpenAITopLogProb = chat.TopLogprob
OpenAIChatCompletionUsage = chat.CompletionUsage
OpenAIChatCompletionUsageCompletionTokensDetails = chat.CompletionTokensDetails
OpenAIChatCompletionUsagePromptTokensDetails = chat.PromptTokensDetails
OpenAIChatCompletionChunk = chat.ChatCompletionChunk
OpenAIChunkChoice = chat.ChunkChoice
OpenAIChoiceDelta = chat.Delta

OpenAICompletionWithInputMessages = stored.StoredChatCompletion
ListOpenAIChatCompletionResponse = stored.ChatCompletionList
ListChatCompletionsRequest = stored.ListChatCompletionsParams

OpenAICompletionRequestWithExtraBody = completions.CompletionRequest
OpenAICompletion = completions.Completion
OpenAICompletionChoice = completions.CompletionChoice
OpenAICompletionLogprobs = completions.CompletionLogprobs
OpenAIEmbeddingsRequestWithExtraBody = embeddings.EmbeddingsRequest
OpenAIEmbeddingsResponse = embeddings.EmbeddingsResponse
OpenAIEmbeddingData = embeddings.Embedding
OpenAIEmbeddingUsage = embeddings.EmbeddingsUsage


class GetChatCompletionRequest(WireModel):
    completion_id: str


class ToolResponseMessage(WireModel):
    """The result of the tool call `call_id` in the native APIs."""

    role: Literal["tool"] = "tool"
    call_id: str
    content: InterleavedContent


class GreedySamplingStrategy(WireModel):
    type: Literal["greedy"] = "greedy"


class TopPSamplingStrategy(WireModel):
    type: Literal["top_p"] = "top_p"
    temperature: float = Field(gt=0, le=2)
    top_p: float = Field(default=0.95, ge=0, le=1)


class TopKSamplingStrategy(WireModel):
    type: Literal["top_k"] = "top_k"
    top_k: int = Field(ge=1)


SamplingStrategy: TypeAlias = Annotated[
    GreedySamplingStrategy | TopPSamplingStrategy | TopKSamplingStrategy, Field(discriminator="type")
]


class SamplingParams(WireModel):
    strategy: SamplingStrategy = Field(default_factory=GreedySamplingStrategy)
    max_tokens: int | None = Field(default=None, ge=1)
    repetition_penalty: float | None = 1.0
    stop: list[str] | None = None


class TextTruncation(StrEnum):
    none = "none"
    start = "start"
    end = "end"


class EmbeddingTaskType(StrEnum):
    query = "query"
    document = "document"


class ModelStore(Protocol):
    async def get_model(self, identifier: str) -> Model: ...


@runtime_checkable
class InferenceProvider(Protocol):
    """An inference provider as version 0.7 knew it: without the `call` that our ports pass."""

    async def rerank(self, request: RerankRequest) -> RerankResponse: ...

    async def openai_completion(
        self, params: completions.CompletionRequest
    ) -> completions.Completion | AsyncIterator[completions.Completion]: ...

    async def openai_chat_completion(
        self, params: chat.ChatCompletionRequest
    ) -> chat.ChatCompletion | AsyncIterator[chat.ChatCompletionChunk]: ...

    async def openai_embeddings(self, params: embeddings.EmbeddingsRequest) -> embeddings.EmbeddingsResponse: ...


@runtime_checkable
class Inference(InferenceProvider, Protocol):
    """What other providers see of inference."""

    async def list_chat_completions(self, request: stored.ListChatCompletionsParams) -> stored.ChatCompletionList: ...

    async def get_chat_completion(self, request: GetChatCompletionRequest) -> stored.StoredChatCompletion: ...
