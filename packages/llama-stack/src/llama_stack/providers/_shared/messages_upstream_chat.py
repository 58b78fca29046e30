"""Chat completions of an upstream that speaks the Messages API alone: requests, replies and streams are translated."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import msgspec
from pydantic import Field

from llama_stack.dialects.anthropic.chunks import ChatChunks
from llama_stack.dialects.anthropic.errors import error_in_stream
from llama_stack.dialects.anthropic.from_messages import completion_of
from llama_stack.dialects.anthropic.to_messages import messages_request
from llama_stack.dialects.openai import sse
from llama_stack.dialects.openai.errors import UNREADABLE
from llama_stack.providers._shared.messages_upstream import MessagesUpstream
from llama_stack.providers._shared.openai_compatible import OpenAICompatibleConfig
from llama_stack_api.errors import ProviderError, ProviderStreamBroken
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
            return _ChatStream(source, ChatChunks(created=created, include_usage=counted), self.name)
        body = await self.message(request, params.model, call)
        return EncodedReply(self._completion(body, created), ChatCompletion)

    def tokens_max(self, model: str) -> int:
        """Tokens for the answer to a request that does not limit it."""
        if self._tokens_max is not None:
            return self._tokens_max
        known = next((tokens for name, tokens in _TOKENS_MAX_OF.items() if name in model), TOKENS_MAX)
        return self._tokens_max_listed.get(model, known)

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


class _ChatStream(EncodedStream):
    """The events of a message as the chunks of a completion. A read that holds no chunk is an empty block: a sign of
    life."""

    def __init__(self, source: EncodedStream, chunks: ChatChunks, provider: str) -> None:
        self._source = source
        self._chunks = chunks
        self._provider = provider
        self._complete = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._translated()

    async def aclose(self) -> None:
        await self._source.aclose()

    def masked(self, text: str) -> str:
        return self._source.masked(text)

    async def _translated(self) -> AsyncIterator[bytes]:
        splitter = sse.EventSplitter()
        async for data in self._source:
            try:
                block = splitter.feed(data)
            except ValueError as error:  # an event beyond the limit
                raise self._broken(f"{error}") from None
            yield b"".join(map(self._event, block.split(b"\n\n")))
        if rest := splitter.finish():
            yield self._event(rest)
        if not self._complete:
            raise self._broken("it ended before the answer was complete")

    def _event(self, event: bytes) -> bytes:
        data = sse.data_of(event)
        if not data or self._complete:
            return b""
        try:
            said = msgspec.json.decode(data, type=dict[str, Any])
        except (*UNREADABLE, msgspec.ValidationError):
            raise self._broken("it sent an event that is no JSON object") from None
        if "error" in said:
            raise error_in_stream(said, self._provider, self._source.masked)
        if said.get("type") != "message_stop":
            return _encoded(self._chunks.feed(said))
        self._complete = True
        return _encoded([*self._chunks.feed(said), *self._chunks.finish()]) + sse.DONE

    def _broken(self, reason: str) -> ProviderStreamBroken:
        return ProviderStreamBroken(f"Provider '{self._provider}' broke the stream: {reason}.")


def _encoded(chunks: list[dict[str, Any]]) -> bytes:
    return b"".join(sse.encode(msgspec.json.encode(chunk)) for chunk in chunks)
