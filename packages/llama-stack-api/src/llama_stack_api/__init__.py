"""The contract of Llama Stack: ports, wire types, provider descriptors and errors. All that a provider needs.

Every name of `NAMES` can be imported from here, as from its own module. A module loads when one of its names is first
asked for, so that `import llama_stack_api` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # ruff: noqa: F403
    from llama_stack_api.admin import *
    from llama_stack_api.api import *
    from llama_stack_api.batches import *
    from llama_stack_api.common.content_types import *
    from llama_stack_api.common.errors import *
    from llama_stack_api.common.job_types import *
    from llama_stack_api.common.responses import *
    from llama_stack_api.common.training_types import *
    from llama_stack_api.connectors import *
    from llama_stack_api.conversations import *
    from llama_stack_api.datatypes import *
    from llama_stack_api.file_processors import *
    from llama_stack_api.files import *
    from llama_stack_api.filters import *
    from llama_stack_api.inference import *
    from llama_stack_api.inspect_api import *
    from llama_stack_api.messages import *
    from llama_stack_api.models import *
    from llama_stack_api.openai_responses import *
    from llama_stack_api.principal import *
    from llama_stack_api.prompts import *
    from llama_stack_api.provider import *
    from llama_stack_api.providers import *
    from llama_stack_api.rag_tool import *
    from llama_stack_api.resource import *
    from llama_stack_api.safety import *
    from llama_stack_api.schema_utils import *
    from llama_stack_api.shields import *
    from llama_stack_api.tools import *
    from llama_stack_api.validators import *
    from llama_stack_api.vector_io import *
    from llama_stack_api.vector_stores import *
    from llama_stack_api.version import *

NAMES = {
    # providers
    "api": "Api",
    "provider": "Descriptor HealthResponse HealthStatus ProviderContext",
    "principal": "ANONYMOUS Call Principal SYSTEM SYSTEM_CALL",
    "specs": "ExternalApiSpec InlineProviderSpec ProviderSpec RemoteProviderConfig RemoteProviderSpec",
    "datatypes": (
        "ModelsProtocolPrivate RoutingTable ShieldsProtocolPrivate ToolGroupsProtocolPrivate"
        " VectorStoresProtocolPrivate"
    ),
    "resource": "ListResourcesResponse Resource ResourceType",
    "schema_utils": "CallableT ExtraBodyField WebMethod json_schema_type register_schema webmethod",
    "validators": "validate_embeddings_input_is_text",
    "version": "LLAMA_STACK_API_V1 LLAMA_STACK_API_V1ALPHA LLAMA_STACK_API_V1BETA",
    "errors": "LlamaStackError",
    "common.errors": (
        "BatchNotFoundError ConflictError ConnectorNotFoundError ConnectorToolNotFoundError"
        " ConversationItemNotFoundError ConversationNotFoundError InternalServerError InvalidParameterError"
        " ModelNotFoundError ModelTypeError OpenAIFileObjectNotFoundError ResourceNotFoundError ResponseNotFoundError"
        " ServiceNotEnabledError TokenValidationError ToolGroupNotFoundError UnsupportedModelError"
        " VectorStoreNotFoundError"
    ),
    # inference
    "inference": (
        "EmbeddingTaskType GetChatCompletionRequest GreedySamplingStrategy Inference InferenceProvider"
        " ListChatCompletionsRequest ListOpenAIChatCompletionResponse ModelStore OpenAIAssistantMessageParam"
        " OpenAIChatCompletion OpenAIChatCompletionChunk OpenAIChatCompletionContentPartImageParam"
        " OpenAIChatCompletionContentPartParam OpenAIChatCompletionContentPartTextParam"
        " OpenAIChatCompletionCustomToolCall OpenAIChatCompletionMessageContent"
        " OpenAIChatCompletionRequestWithExtraBody OpenAIChatCompletionResponseMessage"
        " OpenAIChatCompletionTextOnlyMessageContent OpenAIChatCompletionToolCall"
        " OpenAIChatCompletionToolCallFunction OpenAIChatCompletionToolChoice"
        " OpenAIChatCompletionToolChoiceAllowedTools OpenAIChatCompletionToolChoiceCustomTool"
        " OpenAIChatCompletionToolChoiceFunctionTool OpenAIChatCompletionUsage"
        " OpenAIChatCompletionUsageCompletionTokensDetails OpenAIChatCompletionUsagePromptTokensDetails OpenAIChoice"
        " OpenAIChoiceDelta OpenAIChoiceLogprobs OpenAIChunkChoice OpenAICompletion OpenAICompletionChoice"
        " OpenAICompletionLogprobs OpenAICompletionRequestWithExtraBody OpenAICompletionWithInputMessages"
        " OpenAIDeveloperMessageParam OpenAIEmbeddingData OpenAIEmbeddingUsage OpenAIEmbeddingsRequestWithExtraBody"
        " OpenAIEmbeddingsResponse OpenAIFile OpenAIFileFile OpenAIFinishReason OpenAIImageURL OpenAIJSONSchema"
        " OpenAIMessageParam OpenAIResponseFormatJSONObject OpenAIResponseFormatJSONSchema OpenAIResponseFormatParam"
        " OpenAIResponseFormatText OpenAISystemMessageParam OpenAITokenLogProb OpenAIToolMessageParam OpenAITopLogProb"
        " OpenAIUserMessageParam RerankData RerankRequest RerankResponse SamplingParams SamplingStrategy SystemMessage"
        " TextTruncation ToolResponseMessage TopKSamplingStrategy TopPSamplingStrategy UserMessage"
    ),
    "models": (
        "CommonModelFields GetModelRequest ListModelsResponse Model ModelInput ModelType Models"
        " OpenAIListModelsResponse OpenAIModel RegisterModelRequest UnregisterModelRequest"
    ),
    # safety
    "safety": (
        "ModerationObject ModerationObjectResults RunModerationRequest RunShieldRequest RunShieldResponse Safety"
        " SafetyViolation ShieldStore ViolationLevel"
    ),
    "shields": (
        "CommonShieldFields GetShieldRequest ListShieldsResponse RegisterShieldRequest Shield ShieldInput Shields"
        " UnregisterShieldRequest"
    ),
    # files, vector stores
    "files": (
        "DeleteFileRequest ExpiresAfter Files ListFilesRequest ListOpenAIFileResponse OpenAIFileDeleteResponse"
        " OpenAIFileObject OpenAIFilePurpose RetrieveFileContentRequest RetrieveFileRequest UploadFileRequest"
    ),
    "file_processors": "FileProcessors ProcessFileRequest ProcessFileResponse",
    "vector_io": (
        "Chunk ChunkForDeletion ChunkMetadata DeleteChunksRequest EmbeddedChunk InsertChunksRequest"
        " OpenAIAttachFileRequest"
        " OpenAICreateVectorStoreFileBatchRequestWithExtraBody OpenAICreateVectorStoreRequestWithExtraBody"
        " OpenAISearchVectorStoreRequest OpenAIUpdateVectorStoreFileRequest OpenAIUpdateVectorStoreRequest"
        " QueryChunksParams QueryChunksRequest QueryChunksResponse SearchRankingOptions VectorIO"
        " VectorStoreChunkingStrategy VectorStoreChunkingStrategyAuto VectorStoreChunkingStrategyContextual"
        " VectorStoreChunkingStrategyContextualConfig VectorStoreChunkingStrategyOther"
        " VectorStoreChunkingStrategyStatic VectorStoreChunkingStrategyStaticConfig VectorStoreContent"
        " VectorStoreDeleteResponse VectorStoreExpirationAfter VectorStoreFileAttributes VectorStoreFileBatchObject"
        " VectorStoreFileContentResponse VectorStoreFileCounts VectorStoreFileDeleteResponse VectorStoreFileLastError"
        " VectorStoreFileObject VectorStoreFileStatus VectorStoreFilesListInBatchResponse VectorStoreListFilesResponse"
        " VectorStoreListResponse VectorStoreObject VectorStoreSearchResponse VectorStoreSearchResponsePage"
        " VectorStoreTable"
    ),
    "vector_stores": "VectorStore VectorStoreInput",
    "filters": "ComparisonFilter CompoundFilter Filter",
    "rag_tool": (
        "DefaultRAGQueryGeneratorConfig LLMRAGQueryGeneratorConfig RAGDocument RAGQueryConfig RAGQueryGenerator"
        " RAGQueryGeneratorConfig RAGQueryResult RAGSearchMode RRFRanker Ranker WeightedRanker"
    ),
    # agents
    "openai_responses": (
        "AllowedToolsFilter ApprovalFilter ListOpenAIResponseInputItem ListOpenAIResponseObject MCPListToolsTool"
        " OpenAIDeleteResponseObject OpenAIResponseAnnotationCitation"
        " OpenAIResponseAnnotationContainerFileCitation OpenAIResponseAnnotationFileCitation"
        " OpenAIResponseAnnotationFilePath OpenAIResponseAnnotations OpenAIResponseContentPart"
        " OpenAIResponseContentPartOutputText OpenAIResponseContentPartReasoningSummary"
        " OpenAIResponseContentPartReasoningText OpenAIResponseContentPartRefusal OpenAIResponseError"
        " OpenAIResponseIncompleteDetails OpenAIResponseInput OpenAIResponseInputFunctionToolCallOutput"
        " OpenAIResponseInputMessageContent OpenAIResponseInputMessageContentFile"
        " OpenAIResponseInputMessageContentImage OpenAIResponseInputMessageContentText OpenAIResponseInputTool"
        " OpenAIResponseInputToolChoice OpenAIResponseInputToolChoiceAllowedTools"
        " OpenAIResponseInputToolChoiceCustomTool OpenAIResponseInputToolChoiceFileSearch"
        " OpenAIResponseInputToolChoiceFunctionTool OpenAIResponseInputToolChoiceMCPTool"
        " OpenAIResponseInputToolChoiceMode OpenAIResponseInputToolChoiceObject"
        " OpenAIResponseInputToolChoiceWebSearch OpenAIResponseInputToolFileSearch OpenAIResponseInputToolFunction"
        " OpenAIResponseInputToolMCP OpenAIResponseInputToolWebSearch OpenAIResponseMCPApprovalRequest"
        " OpenAIResponseMCPApprovalResponse OpenAIResponseMessage OpenAIResponseObject OpenAIResponseObjectStream"
        " OpenAIResponseObjectStreamResponseCompleted OpenAIResponseObjectStreamResponseContentPartAdded"
        " OpenAIResponseObjectStreamResponseContentPartDone OpenAIResponseObjectStreamResponseCreated"
        " OpenAIResponseObjectStreamResponseFailed OpenAIResponseObjectStreamResponseFileSearchCallCompleted"
        " OpenAIResponseObjectStreamResponseFileSearchCallInProgress"
        " OpenAIResponseObjectStreamResponseFileSearchCallSearching"
        " OpenAIResponseObjectStreamResponseFunctionCallArgumentsDelta"
        " OpenAIResponseObjectStreamResponseFunctionCallArgumentsDone OpenAIResponseObjectStreamResponseInProgress"
        " OpenAIResponseObjectStreamResponseIncomplete OpenAIResponseObjectStreamResponseMcpCallArgumentsDelta"
        " OpenAIResponseObjectStreamResponseMcpCallArgumentsDone"
        " OpenAIResponseObjectStreamResponseMcpCallCompleted OpenAIResponseObjectStreamResponseMcpCallFailed"
        " OpenAIResponseObjectStreamResponseMcpCallInProgress"
        " OpenAIResponseObjectStreamResponseMcpListToolsCompleted"
        " OpenAIResponseObjectStreamResponseMcpListToolsFailed"
        " OpenAIResponseObjectStreamResponseMcpListToolsInProgress"
        " OpenAIResponseObjectStreamResponseOutputItemAdded OpenAIResponseObjectStreamResponseOutputItemDone"
        " OpenAIResponseObjectStreamResponseOutputTextAnnotationAdded"
        " OpenAIResponseObjectStreamResponseOutputTextDelta OpenAIResponseObjectStreamResponseOutputTextDone"
        " OpenAIResponseObjectStreamResponseReasoningSummaryPartAdded"
        " OpenAIResponseObjectStreamResponseReasoningSummaryPartDone"
        " OpenAIResponseObjectStreamResponseReasoningSummaryTextDelta"
        " OpenAIResponseObjectStreamResponseReasoningSummaryTextDone"
        " OpenAIResponseObjectStreamResponseReasoningTextDelta OpenAIResponseObjectStreamResponseReasoningTextDone"
        " OpenAIResponseObjectStreamResponseRefusalDelta OpenAIResponseObjectStreamResponseRefusalDone"
        " OpenAIResponseObjectStreamResponseWebSearchCallCompleted"
        " OpenAIResponseObjectStreamResponseWebSearchCallInProgress"
        " OpenAIResponseObjectStreamResponseWebSearchCallSearching OpenAIResponseOutput"
        " OpenAIResponseOutputMessageContent OpenAIResponseOutputMessageContentOutputText"
        " OpenAIResponseOutputMessageFileSearchToolCall OpenAIResponseOutputMessageFileSearchToolCallResults"
        " OpenAIResponseOutputMessageFunctionToolCall OpenAIResponseOutputMessageMCPCall"
        " OpenAIResponseOutputMessageMCPListTools OpenAIResponseOutputMessageWebSearchToolCall"
        " OpenAIResponsePrompt OpenAIResponseReasoning OpenAIResponseText OpenAIResponseTextFormat"
        " OpenAIResponseTool OpenAIResponseToolMCP OpenAIResponseUsage OpenAIResponseUsageInputTokensDetails"
        " OpenAIResponseUsageOutputTokensDetails ResponseGuardrailSpec"
    ),
    "conversations": (
        "AddItemsRequest Conversation ConversationDeletedResource ConversationItem ConversationItemDeletedResource"
        " ConversationItemList Conversations CreateConversationRequest DeleteConversationRequest DeleteItemRequest"
        " GetConversationRequest ListItemsRequest RetrieveItemRequest UpdateConversationRequest"
    ),
    "prompts": (
        "CreatePromptRequest DeletePromptRequest GetPromptRequest ListPromptVersionsRequest ListPromptsResponse Prompt"
        " Prompts SetDefaultVersionRequest UpdatePromptRequest"
    ),
    "messages": (
        "AnthropicContentBlock AnthropicCountTokensRequest AnthropicCountTokensResponse AnthropicCreateMessageRequest"
        " AnthropicImageBlock AnthropicMessage AnthropicMessageResponse AnthropicTextBlock AnthropicThinkingBlock"
        " AnthropicToolDef AnthropicToolResultBlock AnthropicToolUseBlock AnthropicUsage Messages"
    ),
    "batches": (
        "BatchObject Batches CancelBatchRequest CreateBatchRequest ListBatchesRequest ListBatchesResponse"
        " RetrieveBatchRequest"
    ),
    "tools": (
        "ListToolDefsResponse ListToolGroupsResponse SpecialToolGroup ToolDef ToolGroup ToolGroupInput ToolGroups"
        " ToolInvocationResult ToolRuntime ToolStore"
    ),
    "connectors": (
        "Connector ConnectorDeleted ConnectorHealth ConnectorInput ConnectorTest ConnectorType Connectors"
        " GetConnectorRequest GetConnectorToolRequest ListConnectorToolsRequest ListConnectorsResponse"
        " ListToolsResponse RegisterConnectorRequest"
    ),
    # the server itself
    "admin": (
        "Admin ApiFilter HealthInfo InspectProviderRequest ListProvidersResponse ListRoutesRequest ListRoutesResponse"
        " ProviderInfo RouteInfo VersionInfo"
    ),
    "inspect_api": "Inspect",
    "providers": "Providers",
    # shared
    "common.content_types": "ImageContentItem InterleavedContent InterleavedContentItem TextContentItem URL",
    "common.job_types": "Job JobStatus",
    "common.responses": "Order PaginatedResponse",
    "common.training_types": "Checkpoint PostTrainingMetric",
}
"""Module -> the names that it lends to this package."""

_MODULE_OF = {name: module for module, names in NAMES.items() for name in names.split()}


if not TYPE_CHECKING:  # so that a type checker still sees a misspelt name

    def __getattr__(name: str) -> Any:
        try:
            module = _MODULE_OF[name]
        except KeyError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
        value = getattr(import_module(f"{__name__}.{module}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
