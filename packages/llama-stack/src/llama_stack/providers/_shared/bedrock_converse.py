"""Chat completions of Bedrock's models by Converse and ConverseStream."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import msgspec

from llama_stack.dialects.converse.chunks import ConverseChunks, events_of
from llama_stack.dialects.converse.errors import EXCEPTION, error_of_event, error_of_reply, lacks, malformed
from llama_stack.dialects.converse.from_converse import completion_of
from llama_stack.dialects.converse.kept_files import kept_files_in
from llama_stack.dialects.converse.to_converse import Asked, converse_request
from llama_stack.dialects.openai import sse
from llama_stack.dialects.openai.errors import UNREADABLE
from llama_stack.providers._shared.aws_events import AwsJsonEvents
from llama_stack.providers._shared.bedrock_config import BedrockConfig
from llama_stack.providers._shared.bedrock_upstream import REMEMBERED_MAX, BedrockUpstream
from llama_stack.providers._shared.cloud_files import check_cloud_files
from llama_stack.providers._shared.openai_compatible import NetStream
from llama_stack.providers._shared.translated_stream import TranslatedStream
from llama_stack_api.errors import InvalidRequest, LlamaStackError, ProviderError, UnsupportedParameter
from llama_stack_api.openai.chat import ChatCompletion, ChatCompletionRequest
from llama_stack_api.ports.http import HttpReply
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext
from llama_stack_api.wire import EncodedReply, EncodedStream

CONVERSE: Final = "converse"
CONVERSE_STREAM: Final = "converse-stream"
_REQUEST_ID: Final = "x-amzn-requestid"
_COUNTED: Final = ("messages", "system", "toolConfig", "additionalModelRequestFields")
_JSON: Final = "application/json"


class ConverseUpstream(BedrockUpstream):
    """A model that cannot stream (at all, or with tools) answers whole, as a stream of few chunks. That it cannot is
    told by the listing, or once by Bedrock."""

    def __init__(self, config: BedrockConfig, context: ProviderContext) -> None:
        super().__init__(config, context)
        self._whole_only: set[tuple[str, bool]] = set()

    async def converse(self, params: ChatCompletionRequest, call: Call) -> EncodedReply[ChatCompletion] | EncodedStream:
        asked = await self._asked(params, call)
        if not params.stream:
            reply, created = await self._whole(params.model, asked, call), int(time.time())
            completion = completion_of(reply, id=_id(reply), model=params.model, created=created, reading=asked.reading)
            return EncodedReply(msgspec.json.encode(completion), ChatCompletion)
        listed, asks = self.listed(params.model), (params.model, "toolConfig" in asked.body)
        if (listed is None or listed.streams) and asks not in self._whole_only:
            try:
                return await self._stream(params, asked, call)
            except UnsupportedParameter as error:
                if not lacks(error, "stream"):
                    raise
            if len(self._whole_only) < REMEMBERED_MAX:
                self._whole_only.add(asks)
        reply = await self._whole(params.model, asked, call)
        return _Replayed(events_of(reply), self._chunks(params, asked, _id(reply)))

    async def count_by_converse(self, params: ChatCompletionRequest, call: Call) -> int | None:
        """The tokens of the prompt; None if Bedrock counts none of this model's."""
        asked = await self._asked(params, call)
        counted = {name: value for name, value in asked.body.items() if name in _COUNTED}
        foundation = await self.foundation(params.model, call)
        url = self.model_url(foundation or params.model, "count-tokens", call)
        try:
            reply = await self.post(url, msgspec.json.encode({"input": {"converse": counted}}), call)
        except InvalidRequest:
            return None
        answer = await self.decoded(reply)
        tokens = answer.get("inputTokens") if isinstance(answer, dict) else None
        if not isinstance(tokens, int):
            raise ProviderError(f"Provider '{self.name}' answered with something that is not a count of tokens.")
        return tokens

    async def _asked(self, params: ChatCompletionRequest, call: Call) -> Asked:
        chat = params.model_dump(mode="json", exclude_unset=True)
        foundation = await self.foundation(params.model, call)
        asked = converse_request(
            chat, model=foundation, max_tokens=self.config.max_tokens, guardrail=self.config.guardrail
        )
        allowed = self.config.allow_cloud_files
        check_cloud_files(
            kept_files_in(asked.body), call, allowed=allowed, provider=self.name, descriptor=self.__provider__
        )
        listed = self.listed(params.model)
        if listed is not None and listed.modalities and "IMAGE" not in listed.modalities and _has_image(asked.body):
            raise UnsupportedParameter(f"The model '{params.model}' takes no images.", param="messages")
        return asked

    async def _whole(self, model: str, asked: Asked, call: Call) -> dict[str, Any]:
        reply = await self.post(self.model_url(model, CONVERSE, call), msgspec.json.encode(asked.body), call)
        body = await self._read_masked(reply, call)
        try:
            said = msgspec.json.decode(body)
        except UNREADABLE:
            said = None
        if not isinstance(said, dict) or not isinstance(said.get("output"), dict):
            if isinstance(said, dict) and ("message" in said or "error" in said):
                # An error that was sent with the status of a success.
                raise error_of_reply(reply.status, reply.headers, body, self.name)
            raise ProviderError(f"Provider '{self.name}' answered with something that is not a message.")
        if (error := malformed(said.get("stopReason"), self.name)) is not None:
            raise error
        return {**said, _REQUEST_ID: reply.headers.get(_REQUEST_ID)}

    async def _stream(self, params: ChatCompletionRequest, asked: Asked, call: Call) -> EncodedStream:
        url, body = self.model_url(params.model, CONVERSE_STREAM, call), msgspec.json.encode(asked.body)
        reply = await self.post(url, body, call)
        sent = await self.headers(call)
        if reply.headers.get("Content-Type", "").startswith(_JSON):
            # Asked for a stream, answered with a body: an error that was sent with the status of a success.
            raise error_of_reply(reply.status, reply.headers, await self._refused_with(reply, sent), self.name)
        source = NetStream(reply, lambda text: self._masked(text, sent))
        chunks = self._chunks(params, asked, _id(reply.headers))

        def error_of(event: dict[str, Any]) -> LlamaStackError | None:
            if EXCEPTION in event:
                event = {**event, "message": source.masked(str(event.get("message") or ""))}
            return error_of_event(event, self.name)

        return TranslatedStream(source, AwsJsonEvents(EXCEPTION), chunks, self.name, error_of)

    def _chunks(self, params: ChatCompletionRequest, asked: Asked, identifier: str) -> ConverseChunks:
        counted = bool(params.stream_options and params.stream_options.include_usage)
        return ConverseChunks(
            id=identifier,
            model=params.model,
            created=int(time.time()),
            include_usage=counted,
            reading=asked.reading,
        )

    async def _read_masked(self, reply: HttpReply, call: Call) -> bytes:
        body = await reply.read()
        if body.startswith(b'{"output"'):
            return body
        return self._masked(body.decode("latin-1"), await self.headers(call)).encode("latin-1")


class _Replayed(EncodedStream):
    """A whole answer, in the chunks of a stream."""

    def __init__(self, events: list[dict[str, Any]], chunks: ConverseChunks) -> None:
        made = [chunk for event in events for chunk in chunks.feed(event)]
        self._chunks = [*made, *chunks.finish()]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._sent()

    async def aclose(self) -> None:
        """Nothing is open."""

    async def _sent(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield sse.encode(msgspec.json.encode(chunk))
        yield sse.DONE


def _id(headers: Mapping[str, Any]) -> str:
    return f"chatcmpl-{headers.get(_REQUEST_ID) or uuid.uuid4().hex}"


def _has_image(body: Mapping[str, Any]) -> bool:
    return any("image" in block for message in body["messages"] for block in message["content"])
