"""Anthropic's Messages API under the names that packages for `llama_stack_api` 0.7 import."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol, runtime_checkable

from llama_stack_api.anthropic.blocks import (
    ContentBlock as AnthropicContentBlock,
)
from llama_stack_api.anthropic.blocks import (
    OtherBlock as AnthropicOtherBlock,
)
from llama_stack_api.anthropic.blocks import (
    ThinkingBlock as AnthropicThinkingBlock,
)
from llama_stack_api.anthropic.blocks import (
    ToolResultBlock as AnthropicToolResultBlock,
)
from llama_stack_api.anthropic.blocks import (
    ToolUseBlock as AnthropicToolUseBlock,
)
from llama_stack_api.anthropic.content import (
    ImageBlock as AnthropicImageBlock,
)
from llama_stack_api.anthropic.content import (
    ImageSource as AnthropicImageSource,
)
from llama_stack_api.anthropic.content import (
    TextBlock as AnthropicTextBlock,
)
from llama_stack_api.anthropic.messages import (
    CountTokensRequest as AnthropicCountTokensRequest,
)
from llama_stack_api.anthropic.messages import (
    CreateMessageRequest as AnthropicCreateMessageRequest,
)
from llama_stack_api.anthropic.messages import (
    InputMessage as AnthropicMessage,
)
from llama_stack_api.anthropic.messages import (
    Message as AnthropicMessageResponse,
)
from llama_stack_api.anthropic.messages import (
    ThinkingConfig as AnthropicThinkingConfig,
)
from llama_stack_api.anthropic.messages import (
    TokenCount as AnthropicCountTokensResponse,
)
from llama_stack_api.anthropic.messages import (
    Usage as AnthropicUsage,
)
from llama_stack_api.anthropic.tools import (
    Tool as AnthropicToolDef,
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
