"""Chat and embeddings by Ollama's own API, for what its OpenAI-compatible one cannot be told."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from llama_stack.dialects.ollama.chunks import OllamaChunks
from llama_stack.dialects.ollama.errors import error_of_event
from llama_stack.dialects.ollama.from_ollama import completion_of, vectors_of
from llama_stack.dialects.ollama.to_ollama import embed_request, ollama_request
from llama_stack.providers._shared.ollama_models import OllamaModels
from llama_stack.providers._shared.openai_compatible import NetStream
from llama_stack.providers._shared.translated_stream import JsonLines, TranslatedStream
from llama_stack.providers._shared.vectors_reply import vectors_reply
from llama_stack_api.errors import ProviderError
from llama_stack_api.openai.chat import ChatCompletion, ChatCompletionRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest, EmbeddingsResponse
from llama_stack_api.principal import Call
from llama_stack_api.wire import EncodedReply, EncodedStream

_JSON = "application/json"


class OllamaChat(OllamaModels):
    def standing(self) -> Mapping[str, Any]:
        """`keep_alive` and `options` for requests that name none."""
        return {}

    async def native_chat(
        self, params: ChatCompletionRequest, call: Call
    ) -> EncodedReply[ChatCompletion] | EncodedStream:
        request = ollama_request(params.model_dump(mode="json", exclude_unset=True), **self.standing())
        reply = await self.post(self.native("/api/chat", call), msgspec.json.encode(request), call)
        id, created = f"chatcmpl-{secrets.token_hex(12)}", int(time.time())
        if not params.stream:
            answer = await self._answer(await self._read(reply, call))
            if not isinstance(answer.get("message"), dict):
                raise ProviderError(f"Provider '{self.name}' answered with something that is not a message.")
            return EncodedReply(msgspec.json.encode(completion_of(answer, id=id, created=created)), ChatCompletion)
        sent = await self.headers(call)
        if reply.headers.get("Content-Type", "").startswith(_JSON):
            # Asked for a stream, answered with a body: an error that was sent with the status of a success.
            raise await self._refusal(reply, sent)
        counted = bool(params.stream_options and params.stream_options.include_usage)
        source = NetStream(reply, lambda text: self._masked(text, sent))
        chunks = OllamaChunks(id=id, created=created, include_usage=counted)
        error_of = partial(error_of_event, provider=self.name, mask=source.masked)
        return TranslatedStream(source, JsonLines(), chunks, self.name, error_of)

    async def native_embeddings(self, params: EmbeddingsRequest, call: Call) -> EncodedReply[EmbeddingsResponse]:
        request = embed_request(params.model_dump(mode="json", exclude_unset=True), **self.standing())
        reply = await self.post(self.native("/api/embed", call), msgspec.json.encode(request), call)
        answer = await self._answer(await self._read(reply, call))
        vectors, tokens = vectors_of(answer)
        return vectors_reply(vectors, params, tokens, self.name)

    async def _answer(self, body: bytes) -> dict[str, Any]:
        try:
            answer = msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ProviderError(f"Provider '{self.name}' answered with something that is not JSON.") from None
        if (error := error_of_event(answer, self.name)) is not None:
            raise error
        return answer
