"""Stored chat completions: recorded as they are answered, then read, changed and deleted by their owner alone."""

from __future__ import annotations

import asyncio

import msgspec

from llama_stack.dialects.openai.accumulate import accumulate
from llama_stack.storage.sql.completions import CompletionStore, check_metadata
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.openai.stored import ListChatCompletionsParams, ListMessagesParams, UpdateChatCompletionRequest
from llama_stack_api.principal import Call

ON_LOOP_BYTES_MAX = 128 * 1024
"""A longer stream is put together in a thread: it takes milliseconds, for which no other request should wait."""


class StoredCompletions:
    """Replies are JSON: what a provider sent is kept and given back as it was."""

    def __init__(self, store: CompletionStore) -> None:
        self._store = store

    def check(self, request: ChatCompletionRequest) -> None:
        check_metadata(request.metadata or {})

    async def record(self, request: ChatCompletionRequest, completion: bytes, call: Call) -> None:
        await self._save(request, completion, call)

    async def record_stream(self, request: ChatCompletionRequest, events: bytes, call: Call) -> None:
        if len(events) > ON_LOOP_BYTES_MAX:
            completion = await asyncio.to_thread(_accumulated, events)
        else:
            completion = _accumulated(events)
        await self._save(request, completion, call)

    async def list_completions(self, params: ListChatCompletionsParams, call: Call) -> bytes:
        page = await self._store.list(
            call.principal,
            after=params.after,
            limit=params.limit,
            order=params.order,
            model=params.model,
            metadata=params.metadata,
        )
        return page.to_json()

    async def get(self, completion_id: str, call: Call) -> bytes:
        return (await self._store.get(call.principal, completion_id)).to_json()

    async def update(self, completion_id: str, changes: UpdateChatCompletionRequest, call: Call) -> bytes:
        return (await self._store.update(call.principal, completion_id, changes.metadata or {})).to_json()

    async def delete(self, completion_id: str, call: Call) -> None:
        await self._store.delete(call.principal, completion_id)

    async def list_messages(self, completion_id: str, params: ListMessagesParams, call: Call) -> bytes:
        page = await self._store.messages(
            call.principal, completion_id, after=params.after, limit=params.limit, order=params.order
        )
        return page.to_json()

    async def _save(self, request: ChatCompletionRequest, completion: bytes, call: Call) -> None:
        dumped = request.model_dump_json(include={"messages"}, exclude_unset=True)
        messages = bytes(msgspec.json.decode(dumped, type=_Messages).messages)
        model = msgspec.json.decode(completion, type=_Model).model
        await self._store.save(call.principal, completion, messages, model=model, metadata=request.metadata)


def _accumulated(events: bytes) -> bytes:
    return msgspec.json.encode(accumulate(events))


class _Messages(msgspec.Struct):
    messages: msgspec.Raw


class _Model(msgspec.Struct):
    # The model that the client asked for: the router has written it back into the reply.
    model: str
