"""Other APIs as a legacy provider calls them: without a `call`, with objects back."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from llama_stack.dialects.openai.sse import EventSplitter, data_of
from llama_stack.routing.legacy.calls import CallScope
from llama_stack_api.openai.chat import ChatCompletionChunk
from llama_stack_api.openai.completions import Completion
from llama_stack_api.wire import EncodedReply, EncodedStream

_ITEMS = {"openai_completion": Completion}


class LegacyDependency:
    """What is asked of it is asked for the caller of the request at work (`CallScope`)."""

    def __init__(self, impl: object, scope: CallScope) -> None:
        self._impl = impl
        self._scope = scope

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        member = getattr(self._impl, name)
        if not callable(member) or "call" not in _parameters(member):
            return member

        @functools.wraps(member)
        def with_call(*args: Any, **kwargs: Any) -> Any:
            result = member(*args, **{"call": self._scope.call, **kwargs})
            return _decoded(result, name) if inspect.isawaitable(result) else result

        return with_call


async def _decoded(result: Awaitable[Any], method: str) -> Any:
    """Objects, where today's ports hand over bytes."""
    reply = await result
    if isinstance(reply, EncodedReply):
        return reply.decode()
    return _chunks(reply, method) if isinstance(reply, EncodedStream) else reply


async def _chunks(stream: EncodedStream, method: str) -> AsyncIterator[Any]:
    item = _ITEMS.get(method, ChatCompletionChunk)
    splitter = EventSplitter()
    try:
        async for data in stream:
            for event in filter(None, splitter.feed(data).split(b"\n\n")):
                said = data_of(event)
                if said and said != b"[DONE]":
                    yield item.model_validate_json(said)
    finally:
        await stream.aclose()


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}
