"""Anthropic's Messages over any inference provider.

A request goes to providers that speak the Messages API as it came; to others, as a chat completion, whose answer is
told as a message. What neither can do, tools that a server is to run above all, this server does itself.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Protocol

import msgspec

from llama_stack.config.messages import MessagesConfig
from llama_stack.dialects.anthropic.errors import THREAD_UNSUPPORTED
from llama_stack.dialects.anthropic.sse import encoded
from llama_stack.routing.table import Entry
from llama_stack.services.inference import Served
from llama_stack.services.inference_ports import MessageInference
from llama_stack.services.messages.attached import AttachedContent
from llama_stack.services.messages.chat import ChatModel, Events, Json, Opened
from llama_stack.services.messages.citations import Citing
from llama_stack.services.messages.collected import Collected
from llama_stack.services.messages.counting import Counted, TokenCounting
from llama_stack.services.messages.names import ModelNames
from llama_stack.services.messages.providers import Abilities, wants_tools_run
from llama_stack.services.messages.server_tools.loop import ToolLoop
from llama_stack.services.messages.server_tools.toolbox import ToolBinding
from llama_stack.services.streams import begun
from llama_stack_api.errors import NotImplementedByProvider, UnsupportedParameter
from llama_stack_api.ports.inference import ModelType
from llama_stack_api.principal import Call

if TYPE_CHECKING:
    from llama_stack_api.anthropic.messages import CountTokensRequest, CreateMessageRequest


class Models(Protocol):
    def lookup(self, identifier: str) -> Entry | None: ...

    async def resolve(self, identifier: str, *, call: Call, kind: str | None = None) -> Entry: ...


class MessageService:
    def __init__(
        self,
        *,
        inference: MessageInference,
        models: Models,
        names: ModelNames,
        attached: AttachedContent,
        tools: ToolBinding,
        config: MessagesConfig,
    ) -> None:
        self._inference = inference
        self._models = models
        self._names = names
        self._attached = attached
        self._tools = tools
        self._config = config
        self._chat = ChatModel(inference)
        self._counting = TokenCounting()

    async def create(self, params: CreateMessageRequest, call: Call) -> Served:
        """The message, or the stream of its events. It calls the model as the client did; `model` of what is served is
        the one that answers."""
        _check_thread(params)
        entry = await self._entry(params.model, call)
        abilities = Abilities.of(entry)
        needs_tools = wants_tools_run(params) and not abilities.runs_tools
        if abilities.speaks_messages and not needs_tools:
            passed = await self._attached.for_messages(params, call)
            passed = passed.model_copy(update={"model": entry.identifier})
            try:
                return await self._inference.anthropic_messages(passed, call, named=params.model)
            except NotImplementedByProvider:
                needs_tools = wants_tools_run(params)
        request = _as_json(params)
        citing = Citing(request)
        request = await self._attached.for_chat(request, abilities, call, citing.readings)
        citing.hear(request["messages"])
        await citing.ready()
        request["model"] = entry.identifier
        if needs_tools:
            return await self._with_tools(request, abilities, citing, call, named=params.model)
        if params.stream:
            opened = await self._chat.stream(request, abilities, call, named=params.model)
            return await _served(await citing.stream(opened))
        return await citing.message(await self._chat.message(request, abilities, call, named=params.model))

    async def count_tokens(self, params: CountTokensRequest, call: Call) -> Counted:
        """The tokens of the request: exact where a provider of the model counts them, else an estimate."""
        entry = await self._entry(params.model, call)
        abilities = Abilities.of(entry)
        if abilities.speaks_messages:
            passed = await self._attached.for_messages(params, call)
            counted = await self._counting.by_messages(passed, entry, call)
            if counted is not None:
                return counted
        request = await self._attached.for_chat(_as_json(params), abilities, call)
        return await self._counting.by_chat({**request, "model": entry.identifier}, abilities, entry, call)

    async def _with_tools(
        self, request: Json, abilities: Abilities, citing: Citing, call: Call, *, named: str
    ) -> Served:
        box = await self._tools.bind(request, call)
        box.tell(citing.hear)

        async def step(asked: Json) -> Opened:
            await citing.ready()
            return await citing.stream(await self._chat.stream(asked, abilities, call, named=named))

        opened = await ToolLoop(box, step, self._config, call).open(request)
        if request.get("stream"):
            return await _served(opened)
        collected = Collected()
        async with aclosing(opened.events):
            async for events in opened.events:
                collected.feed(events)
        return Served(msgspec.json.encode(collected.message), opened.provider_id, opened.model)

    async def _entry(self, model: str, call: Call) -> Entry:
        name = await self._names.resolve(model, call)
        return self._models.lookup(name) or await self._models.resolve(name, call=call, kind=ModelType.llm)


async def _served(opened: Opened) -> Served:
    return Served(await begun(_blocks(opened.events)), opened.provider_id, opened.model)


async def _blocks(events: Events) -> AsyncGenerator[bytes, None]:
    """The first block is empty: it is taken before the stream is handed out."""
    async with aclosing(events):
        yield b""
        async for some in events:
            yield b"".join(map(encoded, some))


def _check_thread(params: CreateMessageRequest) -> None:
    if (params.model_extra or {}).get("thread") is not None:
        raise UnsupportedParameter(
            "This server holds no threads, as any provider may answer the next turn: send the whole conversation, "
            "without 'thread'.",
            param="thread",
            code=THREAD_UNSUPPORTED,
        )


def _as_json(params: CountTokensRequest) -> Json:
    request: Json = params.model_dump(mode="json", exclude_unset=True, by_alias=True)
    return request
