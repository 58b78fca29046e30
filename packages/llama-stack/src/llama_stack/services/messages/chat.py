"""A message by way of a chat completion, for models whose providers do not speak the Messages API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import uuid4

import msgspec
from pydantic import ValidationError

from llama_stack.dialects.anthropic.events import MessageEvents
from llama_stack.dialects.anthropic.from_chat import message_of
from llama_stack.dialects.anthropic.to_chat import chat_request
from llama_stack.dialects.openai import sse
from llama_stack.dialects.openai.errors import UNREADABLE
from llama_stack.services.inference import Served
from llama_stack.services.inference_ports import ChatInference
from llama_stack.services.messages.providers import Abilities
from llama_stack.services.messages.wishes import Wishes
from llama_stack.services.streams import begun
from llama_stack_api.errors import InvalidRequest, ProviderStreamBroken
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.principal import Call

Json: TypeAlias = dict[str, Any]
Events: TypeAlias = AsyncGenerator[list[Json], None]
"""Lists of events as they come. An empty one: the provider sent something that holds nothing to pass on yet."""

THOUGHTS = "reasoning_content"
AT_ONCE_MAX = 1000
"""Messages, blocks and tools of a request that are translated on the event loop: a few milliseconds."""
_SEPARATOR = b"\n\ndata: "
_decode_chunks = msgspec.json.Decoder(list[Json]).decode


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream of a message's events, whose first ones are known to come. Closing it cancels the provider's call."""

    events: Events
    provider_id: str
    model: str


class ChatModel:
    """`request` is a Messages request as JSON, its `model` the server's own name; the message calls it `named`."""

    def __init__(self, inference: ChatInference) -> None:
        self._inference = inference
        self._wishes = Wishes()

    async def message(self, request: Json, abilities: Abilities, call: Call, *, named: str) -> Served:
        served = await self._answered(await asked_of_chat(request, abilities), call)
        assert isinstance(served.body, bytes), "a whole reply was asked for"
        completion = msgspec.json.decode(served.body)
        message = message_of(completion, model=named, stop_sequences=request.get("stop_sequences") or ())
        message["id"] = new_message_id()
        return Served(msgspec.json.encode(message), served.provider_id, served.model)

    async def stream(self, request: Json, abilities: Abilities, call: Call, *, named: str) -> Opened:
        params = await asked_of_chat({**request, "stream": True}, abilities)
        served = await self._answered(params, call)
        assert isinstance(served.body, AsyncGenerator), "a stream was asked for"
        stops = request.get("stop_sequences") or ()
        translator = MessageEvents(model=named, stop_sequences=stops, message_id=new_message_id())
        return Opened(await begun(_events(served.body, translator)), served.provider_id, served.model)

    async def _answered(self, params: ChatCompletionRequest, call: Call) -> Served:
        """Coding agents ask for as many tokens, and as much thought, as Anthropic's largest models have. A model that
        refuses that is asked without, and from then on at once."""
        params = self._wishes.granted(params)
        while True:
            try:
                return await self._inference.openai_chat_completion(params, call)
            except InvalidRequest as error:
                params = self._wishes.without(params, error)


def new_message_id() -> str:
    """Upstreams repeat ids, and coding agents take messages of one id for one message."""
    return f"msg_{uuid4().hex}"


async def asked_of_chat(request: Json, abilities: Abilities) -> ChatCompletionRequest:
    """`chat_params`, in a thread where that takes so long that others would notice."""
    contents = (message.get("content") for message in request["messages"])
    parts = sum(1 + (len(content) if isinstance(content, list) else 0) for content in contents)
    if parts + len(request.get("tools") or ()) <= AT_ONCE_MAX:
        return chat_params(request, abilities)
    return await asyncio.to_thread(chat_params, request, abilities)


def chat_params(request: Json, abilities: Abilities) -> ChatCompletionRequest:
    """`InvalidRequest` for what a chat completion cannot be asked."""
    chat = chat_request(request)
    for message in chat["messages"]:
        _fit_thoughts(message, abilities)
    try:
        return ChatCompletionRequest.model_validate(chat)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidRequest(f"The model's provider cannot be asked this: {place}: {first['msg']}.") from None


def _fit_thoughts(message: Json, abilities: Abilities) -> None:
    """Providers refuse members that they do not know."""
    if not abilities.thinking_blocks:
        message.pop("thinking_blocks", None)
        thought = message.pop(THOUGHTS, None)
        if thought is not None and abilities.thoughts_member is not None:
            message[abilities.thoughts_member] = thought


async def _events(blocks: AsyncGenerator[bytes, None], translator: MessageEvents) -> Events:
    """The first list is empty: it is taken before the stream is handed out."""
    async with aclosing(blocks):
        yield []
        async for block in blocks:
            yield [event for chunk in _chunks(block) for event in translator.feed(chunk)]
        yield translator.finish()


def _chunks(block: bytes) -> list[Json]:
    body = block.removesuffix(sse.DONE)
    if not body:
        return []
    try:
        # As a relay or an encoder of this server wrote them: one line of data each.
        return _decode_chunks(b"[" + body[6:-2].replace(_SEPARATOR, b",") + b"]")
    except UNREADABLE:
        raise ProviderStreamBroken("The model's provider sent something that is not a completion chunk.") from None
