"""Chat completions of an upstream that speaks the Messages API alone: requests, replies and streams are translated."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from pydantic import BaseModel, Field

from llama_stack.dialects.anthropic.chunks import ChatChunks
from llama_stack.dialects.anthropic.errors import error_in_stream
from llama_stack.dialects.anthropic.from_messages import completion_of
from llama_stack.dialects.anthropic.own_thoughts import without_foreign_thoughts
from llama_stack.dialects.anthropic.to_messages import messages_request
from llama_stack.dialects.openai.errors import UNREADABLE
from llama_stack.providers._shared.messages_upstream import MessagesUpstream
from llama_stack.providers._shared.openai_compatible import OpenAICompatibleConfig
from llama_stack.providers._shared.translated_stream import ErrorOf, SseEvents, TranslatedStream
from llama_stack_api.errors import ProviderError
from llama_stack_api.openai.chat import ChatCompletion, ChatCompletionRequest
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext
from llama_stack_api.wire import EncodedReply, EncodedStream

TOKENS_MAX = 32_000
"""What every Claude that is not named below can write in one answer."""
_TOKENS_MAX_OF = {
    "claude-2": 4096,
    "claude-instant": 4096,
    "claude-3-opus": 4096,
    "claude-3-sonnet": 4096,
    "claude-3-haiku": 4096,
    "claude-3-5": 8192,
}


class ChatByMessagesConfig(OpenAICompatibleConfig):
    max_tokens: int | None = Field(default=None, ge=1)
    """Tokens that a chat answer may have when the request does not say, which the Messages API wants to know. None: as
    many as the model can write, or 32000 where the upstream does not tell."""


class ChatByMessages(MessagesUpstream):
    """`ChatCompletions`, beside the ports of `MessagesUpstream`."""

    takes_thinking_blocks: ClassVar[bool] = True
    """Assistant messages of a chat may hold `thinking_blocks`, which are sent with their signatures."""
    takes_files: ClassVar[bool] = True
    """Users' messages of a chat may hold PDFs."""

    def __init__(self, config: ChatByMessagesConfig, context: ProviderContext) -> None:
        super().__init__(config, context)
        self._tokens_max = config.max_tokens
        self._tokens_max_listed: dict[str, int] = {}

    async def openai_chat_completion(
        self, params: ChatCompletionRequest, call: Call
    ) -> EncodedReply[ChatCompletion] | EncodedStream:
        chat = params.model_dump(mode="json", exclude_unset=True)
        request = messages_request(chat, max_tokens=self.tokens_max(params.model))
        created = int(time.time())
        if params.stream:
            counted = bool(params.stream_options and params.stream_options.include_usage)
            source = await self.message_stream(request, params.model, call)
            chunks = ChatChunks(created=created, include_usage=counted)
            return TranslatedStream(source, SseEvents(), chunks, self.name, self._error_in(source))
        body = await self.message(request, params.model, call)
        return EncodedReply(self._completion(body, created), ChatCompletion)

    def message_body(self, request: BaseModel | Mapping[str, Any], call: Call) -> bytes:
        """Of a client's own request, without what models of other vendors thought in it."""
        return super().message_body(_own(request), call)

    def tokens_max(self, model: str) -> int:
        """Tokens for the answer to a request that does not limit it."""
        if self._tokens_max is not None:
            return self._tokens_max
        known = next((tokens for name, tokens in _TOKENS_MAX_OF.items() if name in model), TOKENS_MAX)
        return self._tokens_max_listed.get(model, known)

    def _error_in(self, source: EncodedStream) -> ErrorOf:
        return lambda event: error_in_stream(event, self.name, source.masked) if "error" in event else None

    def _completion(self, body: bytes, created: int) -> bytes:
        try:
            message = msgspec.json.decode(body)
        except UNREADABLE:
            message = None
        if isinstance(message, dict) and "error" in message:
            raise error_in_stream(message, self.name)
        if not isinstance(message, dict) or not isinstance(message.get("content"), list):
            raise ProviderError(f"Provider '{self.name}' answered with something that is not a message.")
        return msgspec.json.encode(completion_of(message, created=created))


def _own(request: BaseModel | Mapping[str, Any]) -> BaseModel | Mapping[str, Any]:
    if not isinstance(request, BaseModel):
        return request
    said = request.model_dump(mode="json", exclude_unset=True)
    own = without_foreign_thoughts(said)
    return request if own is said else own
