"""Anthropic's Messages API under the names that packages for `llama_stack_api` 0.7 import."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol, runtime_checkable

from llama_stack_api.anthropic.messages import (
    ContentBlock as AnthropicContentBlock,
)
from llama_stack_api.anthropic.messages import (
    CountTokensRequest as AnthropicCountTokensRequest,
)
from llama_stack_api.anthropic.messages import (
    CreateMessageRequest as AnthropicCreateMessageRequest,
)
from llama_stack_api.anthropic.messages import (
    ImageBlock as AnthropicImageBlock,
)
from llama_stack_api.anthropic.messages import (
    ImageSource as AnthropicImageSource,
)
from llama_stack_api.anthropic.messages import (
    InputMessage as AnthropicMessage,
)
from llama_stack_api.anthropic.messages import (
    Message as AnthropicMessageResponse,
)
from llama_stack_api.anthropic.messages import (
    OtherBlock as AnthropicOtherBlock,
)
from llama_stack_api.anthropic.messages import (
    TextBlock as AnthropicTextBlock,
)
from llama_stack_api.anthropic.messages import (
    ThinkingBlock as AnthropicThinkingBlock,
)
from llama_stack_api.anthropic.messages import (
    ThinkingConfig as AnthropicThinkingConfig,
)
from llama_stack_api.anthropic.messages import (
    TokenCount as AnthropicCountTokensResponse,
)
from llama_stack_api.anthropic.messages import (
    Tool as AnthropicToolDef,
)
from llama_stack_api.anthropic.messages import (
    ToolResultBlock as AnthropicToolResultBlock,
)
from llama_stack_api.anthropic.messages import (
    ToolUseBlock as AnthropicToolUseBlock,
)
from llama_stack_api.anthropic.messages import (
    Usage as AnthropicUsage,
)

__all__ = [
    "AnthropicContentBlock",
    "AnthropicCountTokensRequest",
    "AnthropicCountTokensResponse",
    "AnthropicCreateMessageRequest",
    "AnthropicImageBlock",
    "AnthropicImageSource",
    "AnthropicMessage",
    "AnthropicMessageResponse",
    "AnthropicOtherBlock",
    "AnthropicTextBlock",
    "AnthropicThinkingBlock",
    "AnthropicThinkingConfig",
    "AnthropicToolDef",
    "AnthropicToolResultBlock",
    "AnthropicToolUseBlock",
    "AnthropicUsage",
    "Messages",
]


@runtime_checkable
class Messages(Protocol):
    async def create_message(
        self, request: AnthropicCreateMessageRequest
    ) -> AnthropicMessageResponse | AsyncIterator[Any]:
        """A stream of events if `request.stream`."""
        ...

    async def count_message_tokens(self, request: AnthropicCountTokensRequest) -> AnthropicCountTokensResponse: ...
