"""Chat completions of an upstream that speaks Google's generateContent: requests, replies and streams are
translated."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec

from llama_stack.dialects.gemini.chunks import GeminiChunks
from llama_stack.dialects.gemini.errors import error_of_event
from llama_stack.dialects.gemini.from_gemini import completion_of
from llama_stack.dialects.gemini.kept_files import kept_files_in
from llama_stack.dialects.gemini.to_gemini import gemini_request
from llama_stack.dialects.openai.errors import UNREADABLE
from llama_stack.providers._shared.google_upstream import GoogleUpstream
from llama_stack.providers._shared.openai_compatible import NetStream
from llama_stack.providers._shared.translated_stream import JsonObject, SseEvents, TranslatedStream, json_object
from llama_stack_api.errors import ProviderError
from llama_stack_api.openai.chat import ChatCompletion, ChatCompletionRequest
from llama_stack_api.principal import Call
from llama_stack_api.wire import EncodedReply, EncodedStream

_JSON = "application/json"


class GeminiChat(GoogleUpstream):
    """`ChatCompletions` and `CountsTokens`."""

    takes_thinking_blocks: ClassVar[bool] = True
    """Assistant messages of a chat may hold `thinking_blocks`, which are sent with their signatures."""
    takes_files: ClassVar[bool] = True
    """Users' messages of a chat may hold PDFs."""
    takes_image_urls: ClassVar[bool] = False
    """Images come as data, or are addresses of Google's own."""
    serves_unlisted_models: ClassVar[bool] = True  # tuned models, and names under which models were called before

    # --- what a subclass says

    async def model_url(self, model: str, method: str, call: Call) -> str:
        """The address of a method (`generateContent`) of a model."""
        raise NotImplementedError

    def counting_body(self, request: JsonObject, model: str) -> JsonObject:
        """The body of countTokens for a request of generateContent."""
        raise NotImplementedError

    # --- the ports

    async def openai_chat_completion(
        self, params: ChatCompletionRequest, call: Call
    ) -> EncodedReply[ChatCompletion] | EncodedStream:
        body = msgspec.json.encode(self._request(params, call))
        if params.stream:
            return await self._streamed(params, body, call)
        url = await self.model_url(params.model, "generateContent", call)
        reply = await self.post(url, body, call)
        answer = self._answer(await self._read(reply, call))
        completion = completion_of(
            answer, model=params.model, created=int(time.time()), one_call=params.parallel_tool_calls is False
        )
        return EncodedReply(msgspec.json.encode(completion), ChatCompletion)

    async def count_chat_tokens(self, params: ChatCompletionRequest, call: Call) -> int:
        request = self._request(params, call)
        url = await self.model_url(params.model, "countTokens", call)
        body = msgspec.json.encode(self.counting_body(request, params.model))
        answer = await self.decoded(await self.post(url, body, call))
        counted = answer.get("totalTokens") if isinstance(answer, dict) else None
        if not isinstance(counted, int):
            raise ProviderError(f"Provider '{self.name}' answered without a count of tokens.")
        return counted

    # --- what they are made of

    def _request(self, params: ChatCompletionRequest, call: Call) -> JsonObject:
        request = gemini_request(params.model_dump(mode="json", exclude_unset=True))
        self.check_kept_files(kept_files_in(request), call)
        return request

    async def _streamed(self, params: ChatCompletionRequest, body: bytes, call: Call) -> EncodedStream:
        url = f"{await self.model_url(params.model, 'streamGenerateContent', call)}?alt=sse"
        reply, sent = await self.post(url, body, call), await self.headers(call)
        if reply.headers.get("Content-Type", "").startswith(_JSON):
            # Asked for a stream, answered with a body: an error that was sent with the status of a success.
            raise await self._refusal(reply, sent)
        source = NetStream(reply, lambda text: self._masked(text, sent))
        options = params.stream_options
        chunks = GeminiChunks(
            model=params.model,
            created=int(time.time()),
            include_usage=bool(options and options.include_usage),
            choices=int(params.n or 1),
            one_call=params.parallel_tool_calls is False,
        )
        return TranslatedStream(
            source, GeminiEvents(), chunks, self.name, lambda event: error_of_event(event, self.name, source.masked)
        )

    def _answer(self, body: bytes) -> dict[str, Any]:
        try:
            answer = msgspec.json.decode(body)
        except UNREADABLE:
            answer = None
        if (error := error_of_event(answer, self.name)) is not None:
            raise error
        if not isinstance(answer, dict) or not isinstance(answer.get("candidates"), list) or not answer["candidates"]:
            raise ProviderError(f"Provider '{self.name}' answered with something that holds no candidates.")
        return answer


class GeminiEvents(SseEvents):
    """An error within a stream may come bare, as JSON that is no event, alone or in a list."""

    def _object(self, event: bytes) -> Iterator[JsonObject]:
        bare = event.strip()
        if bare[:1] in (b"{", b"["):
            yield json_object(bare.removeprefix(b"[").removesuffix(b"]"))
        else:
            yield from super()._object(event)
