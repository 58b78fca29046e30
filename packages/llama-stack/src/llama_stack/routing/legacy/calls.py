"""The request at work, for objects whose methods are not told of it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from llama_stack_api.errors import ProviderError
from llama_stack_api.principal import Call


def has(impl: object, name: str) -> bool:
    """Whether an object has a method of its own: those of the contract's protocols, which a class of it may inherit, do
    nothing."""
    member = getattr(impl, name, None)
    home = getattr(getattr(member, "__func__", member), "__module__", None) or ""
    return callable(member) and home.partition(".")[0] != "llama_stack_api"


class CallScope:
    """One for all packages of a stack, so that what one asks of another is still asked for the same caller.

    Outside of a request the caller is anonymous: a background task of a package gets no more rights than a stranger.
    """

    def __init__(self) -> None:
        self._current: ContextVar[Call] = ContextVar("llama_stack.call")

    @property
    def call(self) -> Call:
        return self._current.get(_STRANGER)

    def enter(self, call: Call) -> None:
        """For the rest of this task, or of the request that it serves."""
        self._current.set(call)

    @contextmanager
    def within(self, call: Call) -> Iterator[None]:
        token = self._current.set(call)
        try:
            yield
        finally:
            self._current.reset(token)

    def without_call(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function for those who pass a `Call`: it is taken off the arguments, and holds while the function works,
        up to the end of a stream that it returns."""

        @functools.wraps(function)
        async def method(*args: Any, **kwargs: Any) -> Any:
            call = next((value for value in (*args, *kwargs.values()) if isinstance(value, Call)), self.call)
            with self.within(call):
                try:
                    result = function(
                        *(value for value in args if not isinstance(value, Call)),
                        **{name: value for name, value in kwargs.items() if not isinstance(value, Call)},
                    )
                    result = await result if inspect.isawaitable(result) else result
                except SystemExit as error:  # which would end the server
                    raise ProviderError("The provider ended its work before it answered.") from error
            return self._stream(result, call) if isinstance(result, AsyncIterator) else result

        return method

    async def _stream(self, items: AsyncIterator[Any], call: Call) -> AsyncIterator[Any]:
        try:
            while True:
                with self.within(call):  # for one item at a time: a generator shares the context of its reader
                    try:
                        item = await anext(items)
                    except StopAsyncIteration:
                        return
                yield item
        finally:
            close = getattr(items, "aclose", None) or getattr(items, "close", None)
            if close is not None:
                closing = close()
                if inspect.isawaitable(closing):
                    await closing


_STRANGER = Call()
