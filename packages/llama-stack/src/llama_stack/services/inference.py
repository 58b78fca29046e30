"""Inference: resolves the model, calls a provider that serves it, meters the reply and records it where asked to.

A reply goes through as bytes. Providers that relay an upstream hand over what it sent; objects of others are encoded
here, once, so that everything after this point is the same for all.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from pydantic import BaseModel

from llama_stack.dialects.anthropic.relay import EventRelay, relay_message
from llama_stack.dialects.openai.encode import encode_reply, encode_stream
from llama_stack.dialects.openai.relay import StreamRelay
from llama_stack.dialects.openai.reply import relay_reply
from llama_stack.dialects.openai.usage import Usage
from llama_stack.dialects.relaying import BlockRelay
from llama_stack.routing.attempts import Attempts
from llama_stack.routing.table import Entry, RoutingTable, Target
from llama_stack.services.chat_images import ChatImages, wanted_as_data
from llama_stack.services.streams import OpenStream, Recorder, begun, close, ended, first_block, recorded
from llama_stack_api.errors import (
    InvalidRequest,
    LlamaStackError,
    NotImplementedByProvider,
    UnsupportedParameter,
)
from llama_stack_api.native.rerank import RerankRequest
from llama_stack_api.openai.chat import ChatCompletionRequest, StreamOptions
from llama_stack_api.openai.completions import CompletionRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest
from llama_stack_api.ports.inference import ModelType
from llama_stack_api.principal import Call
from llama_stack_api.wire import EncodedReply, EncodedStream

if TYPE_CHECKING:
    from llama_stack_api.anthropic.messages import CreateMessageRequest

Params: TypeAlias = (
    "ChatCompletionRequest | CompletionRequest | EmbeddingsRequest | RerankRequest | CreateMessageRequest"
)
Streamed: TypeAlias = ChatCompletionRequest | CompletionRequest

STORED_BYTES_MAX = 64 * 1024 * 1024
"""The longest stream that is stored: it is held in memory until its end."""


@dataclass(frozen=True, slots=True)
class Served:
    """A reply and who gave it. `body` is the whole JSON, or blocks of whole server-sent events up to the last one.

    A block is empty where the provider sent something that holds nothing to pass on yet: it is alive. A generator
    raises a `LlamaStackError` where the stream breaks. Closing it cancels the provider's call at once, also before
    anything was read from it.
    """

    body: bytes | AsyncGenerator[bytes, None]
    provider_id: str
    model: str


class InferenceMetrics(Protocol):
    def inference_done(
        self,
        api: str,
        model: str,
        provider: str,
        outcome: str,
        duration_s: float,
        first_byte_s: float | None,
        usage: tuple[int, int] | None,
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class _Operation:
    api: str
    method: str
    model_type: ModelType
    does: str


_CHAT = _Operation("chat", "openai_chat_completion", ModelType.llm, "chat completions")
_MESSAGE = _Operation("messages", "anthropic_messages", ModelType.llm, "messages")
_COMPLETION = _Operation("completion", "openai_completion", ModelType.llm, "completions")
_EMBEDDINGS = _Operation("embeddings", "openai_embeddings", ModelType.embedding, "embeddings")
_RERANK = _Operation("rerank", "rerank", ModelType.rerank, "reranking")


class InferenceRouter:
    """`table` says who serves a model, `attempts` how often whom to try. Requests are left as they are given.

    `images` fetches those of a chat that lie elsewhere, for providers that do not.
    """

    def __init__(
        self,
        *,
        table: RoutingTable[Entry],
        attempts: Attempts,
        metrics: InferenceMetrics,
        recorder: Recorder | None = None,
        images: ChatImages | None = None,
        stored_bytes_max: int = STORED_BYTES_MAX,
    ) -> None:
        self._table = table
        self._attempts = attempts
        self._metrics = metrics
        self._recorder = recorder
        self._images = images
        self._stored_bytes_max = stored_bytes_max
        self._usage_only = StreamOptions(include_usage=True)

    async def openai_chat_completion(self, params: ChatCompletionRequest, call: Call) -> Served:
        _check_chat(params)
        params = params.model_copy()
        recorder = self._recorder_for(params)
        if params.stream:
            return await self._stream(_CHAT, params, call, recorder)
        served = await self._whole(_CHAT, params, call, None if recorder is None else new_completion_id())
        if recorder is not None:
            assert isinstance(served.body, bytes)
            await recorder.record(params, served.body, call)
        return served

    async def anthropic_messages(self, params: CreateMessageRequest, call: Call, *, named: str) -> Served:
        """For models whose providers all satisfy `ports.inference.CreatesMessages`; the reply calls its model `named`.
        `NotImplementedByProvider` where an upstream turns out not to know the Messages API, or not this request."""
        started = time.perf_counter()
        params = params.model_copy()
        entry = await self._entry(params.model, _MESSAGE, call)
        if params.stream:

            async def opened(target: Target) -> OpenStream:
                reply = await _method(target, _MESSAGE)(_for_target(params, target), call)
                relay = EventRelay(provider=target.provider_id, model=named, mask=reply.masked)
                return await _begun(reply, reply.__aiter__(), relay, started)

            stream, target = await self._run(_MESSAGE, entry, call, opened, started)
            blocks = self._blocks(_MESSAGE, entry, target, stream, started)
            return Served(await begun(blocks), target.provider_id, entry.identifier)

        async def answered(target: Target) -> tuple[bytes, Usage | None]:
            reply = await _method(target, _MESSAGE)(_for_target(params, target), call)
            return relay_message(reply.body, provider=target.provider_id, model=named)

        (body, usage), target = await self._run(_MESSAGE, entry, call, answered, started)
        self._done(_MESSAGE, entry, target, "ok", started, None, usage)
        return Served(body, target.provider_id, entry.identifier)

    async def openai_completion(self, params: CompletionRequest, call: Call) -> Served:
        _check_stream_options(params)
        params = params.model_copy()
        if params.stream:
            return await self._stream(_COMPLETION, params, call, None)
        return await self._whole(_COMPLETION, params, call)

    async def openai_embeddings(self, params: EmbeddingsRequest, call: Call) -> Served:
        return await self._whole(_EMBEDDINGS, params.model_copy(), call)

    async def rerank(self, params: RerankRequest, call: Call) -> Served:
        started = time.perf_counter()
        params = params.model_copy()
        entry = await self._entry(params.model, _RERANK, call)

        async def attempt(target: Target) -> bytes:
            reply = await _method(target, _RERANK)(_for_target(params, target), call)
            return encode_reply(reply)

        body, target = await self._run(_RERANK, entry, call, attempt, started)
        self._done(_RERANK, entry, target, "ok", started, None, None)
        return Served(body, target.provider_id, entry.identifier)

    async def _whole(self, operation: _Operation, params: Params, call: Call, identifier: str | None = None) -> Served:
        started = time.perf_counter()
        entry = await self._entry(params.model, operation, call)

        async def attempt(target: Target) -> tuple[bytes, Usage | None]:
            asked = _for_target(params, target)
            if self._images and isinstance(asked, ChatCompletionRequest) and wanted_as_data(target.provider):
                asked = await self._images.inlined(asked, call)
            reply = await _method(target, operation)(asked, call)
            body = reply.body if isinstance(reply, EncodedReply) else encode_reply(reply)
            return relay_reply(body, provider=target.provider_id, model=entry.identifier, identifier=identifier)

        (body, usage), target = await self._run(operation, entry, call, attempt, started)
        self._done(operation, entry, target, "ok", started, None, usage)
        return Served(body, target.provider_id, entry.identifier)

    async def _stream(self, operation: _Operation, params: Streamed, call: Call, recorder: Recorder | None) -> Served:
        started = time.perf_counter()
        entry = await self._entry(params.model, operation, call)
        identifier = None if recorder is None else new_completion_id()
        keep_usage = bool(params.stream_options and params.stream_options.include_usage)
        if not keep_usage:
            # Asked for all the same, to meter it; the relay takes it out again.
            asked = params.stream_options
            params.stream_options = asked.model_copy(update={"include_usage": True}) if asked else self._usage_only

        choices = (params.n or 1) * (_prompts(params) if isinstance(params, CompletionRequest) else 1)

        async def attempt(target: Target) -> OpenStream:
            asked = _for_target(params, target)
            if self._images and isinstance(asked, ChatCompletionRequest) and wanted_as_data(target.provider):
                asked = await self._images.inlined(asked, call)
            reply = await _method(target, operation)(asked, call)
            source = reply.__aiter__() if isinstance(reply, EncodedStream) else encode_stream(reply)
            relay = StreamRelay(
                provider=target.provider_id,
                model=entry.identifier,
                keep_usage=keep_usage,
                identifier=identifier,
                choices=choices,
                mask=reply.masked if isinstance(reply, EncodedStream) else str,
            )
            return await _begun(reply, source, relay, started)

        stream, target = await self._run(operation, entry, call, attempt, started)
        blocks = self._blocks(operation, entry, target, stream, started)
        if recorder is not None:
            assert isinstance(params, ChatCompletionRequest)
            blocks = recorded(blocks, stream.relay, recorder, params, call, self._stored_bytes_max)
        return Served(await begun(blocks), target.provider_id, entry.identifier)

    async def _blocks(
        self, operation: _Operation, entry: Entry, target: Target, stream: OpenStream, started: float
    ) -> AsyncGenerator[bytes, None]:
        """The first block is empty: it is taken before the stream is handed out."""
        relay, outcome = stream.relay, "ok"
        feed, in_one = relay.feed, relay.done
        try:
            yield b""
            yield stream.first
            if not in_one:
                async for data in stream.source:
                    yield feed(data)
                    if relay.done:
                        break
            if block := relay.finish():
                yield block
            await ended(stream.source)
        except BaseException as error:
            outcome = "ok" if relay.done else _outcome(error)
            raise
        finally:
            await close(stream.reply, stream.source)
            self._done(operation, entry, target, outcome, started, stream.first_byte_s, relay.usage)

    async def _entry(self, model: str, operation: _Operation, call: Call) -> Entry:
        entry = self._table.lookup(model) or await self._table.resolve(model, call=call, kind=operation.model_type)
        if entry.kind != operation.model_type:
            raise InvalidRequest(
                f"Model '{model}' is of type '{entry.kind}' and serves no {operation.does}; "
                f"choose one of type '{operation.model_type}' (GET /v1/models lists them).",
                param="model",
            )
        return entry

    async def _run(
        self,
        operation: _Operation,
        entry: Entry,
        call: Call,
        attempt: Callable[[Target], Awaitable[Any]],
        started: float,
    ) -> tuple[Any, Target]:
        try:
            return await self._attempts.run(entry, call, attempt)
        except BaseException as error:
            self._done(operation, entry, entry.targets[0], _outcome(error), started, None, None)
            raise

    def _done(
        self,
        operation: _Operation,
        entry: Entry,
        target: Target,
        outcome: str,
        started: float,
        first_byte_s: float | None,
        usage: Usage | None,
    ) -> None:
        self._metrics.inference_done(
            operation.api,
            entry.identifier,
            target.provider_id,
            outcome,
            time.perf_counter() - started,
            first_byte_s,
            usage,
        )

    def _recorder_for(self, params: ChatCompletionRequest) -> Recorder | None:
        # Storing is this server's, so no provider is asked to: many refuse what they do not know.
        params.model_fields_set.discard("store")
        if not params.store:
            return None
        if self._recorder is None:
            raise UnsupportedParameter(
                "This server stores no completions: set storage.stores.inference in its run config, or leave out "
                "'store'.",
                param="store",
            )
        self._recorder.check(params)
        params.model_fields_set.discard("metadata")
        return self._recorder


async def _begun(
    reply: EncodedStream | AsyncIterator[BaseModel], source: AsyncIterator[bytes], relay: BlockRelay, started: float
) -> OpenStream:
    """The stream with its first block."""
    try:
        first = await first_block(source, relay)
    except BaseException:
        await close(reply, source)
        raise
    return OpenStream(first, source, reply, relay, time.perf_counter() - started)


def new_completion_id() -> str:
    """For what is stored: upstreams repeat ids, or have none, and a stored one must be unguessable."""
    return f"chatcmpl-{secrets.token_urlsafe(24)}"


def _outcome(error: BaseException) -> str:
    """The error as a label: of its class, since a code may be any text that an upstream sent."""
    if isinstance(error, LlamaStackError):
        return type(error).default_code or error.type
    return "cancelled" if isinstance(error, asyncio.CancelledError | GeneratorExit) else "internal_error"


def _method(target: Target, operation: _Operation) -> Callable[[Any, Call], Awaitable[Any]]:
    method: Callable[[Any, Call], Awaitable[Any]] | None = getattr(target.provider, operation.method, None)
    if method is None:
        raise NotImplementedByProvider(
            f"Provider '{target.provider_id}' serves no {operation.does}; choose a model of another provider.",
            param="model",
        )
    return method


def _prompts(params: CompletionRequest) -> int:
    """How many prompts a completion continues: a list of token ids is one, a list of texts or of such lists many."""
    prompt = params.prompt
    return len(prompt) if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int) else 1


def _for_target(params: Params, target: Target) -> Params:
    """The request under the provider's own model id. It is the router's copy, and targets are tried in turn."""
    params.model = target.provider_resource_id
    return params


def _check_chat(params: ChatCompletionRequest) -> None:
    """What OpenAI refuses of parameters that contradict each other."""
    _check_stream_options(params)
    if params.tool_choice is not None and params.tool_choice != "none" and not params.tools:
        raise InvalidRequest("'tool_choice' is only allowed when 'tools' are given.", param="tool_choice")
    if params.top_logprobs and not params.logprobs:
        raise InvalidRequest("'top_logprobs' is only allowed when 'logprobs' is true.", param="top_logprobs")


def _check_stream_options(params: Streamed) -> None:
    if params.stream_options is not None and not params.stream:
        raise InvalidRequest("'stream_options' is only allowed when 'stream' is true.", param="stream_options")
