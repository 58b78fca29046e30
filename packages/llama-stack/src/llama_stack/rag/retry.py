"""Trying again while a file has time: what a provider refuses for the moment is no failure of the file."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from llama_stack.storage.errors import StoreUnavailable
from llama_stack_api.errors import (
    LlamaStackError,
    Overloaded,
    ProviderError,
    ProviderRejectedCredentials,
    RateLimited,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """At most `tries` attempts; before the next one, half to all of `first_s` x 2^n, at most `longest_s`, or what the
    provider asks for by `Retry-After`."""

    tries: int = 8
    first_s: float = 0.5
    longest_s: float = 30.0


async def retried(
    attempt: Callable[[], Awaitable[T]],
    patience: Patience,
    deadline: float | None,
    when: Callable[[LlamaStackError], bool] | None = None,
) -> T:
    """What `attempt` gives, tried again after errors that are transient (or as `when` says), as long as another attempt
    begins before the deadline, a time of the event loop's clock."""
    is_worth_it = when or is_transient
    for number in range(patience.tries - 1):
        try:
            return await attempt()
        except LlamaStackError as error:
            wait_s = _wait_s(error, number, patience)
            if not is_worth_it(error) or _is_too_late(deadline, wait_s):
                raise
        await asyncio.sleep(wait_s)
    return await attempt()


def is_transient(error: LlamaStackError) -> bool:
    """A limit of the moment, or a provider that fails by itself (5xx, no connection, no whole answer in time)."""
    if isinstance(error, ProviderRejectedCredentials):
        return False
    if isinstance(error, ProviderError):
        return error.upstream_status is None or not 400 <= error.upstream_status < 500
    return isinstance(error, RateLimited | Overloaded)


def is_outage(error: LlamaStackError) -> bool:
    """Of our own database."""
    return isinstance(error, StoreUnavailable | Overloaded)


def _wait_s(error: LlamaStackError, number: int, patience: Patience) -> float:
    if error.retry_after_s is not None:
        return error.retry_after_s
    return min(patience.longest_s, patience.first_s * 2.0**number) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load


def _is_too_late(deadline: float | None, wait_s: float) -> bool:
    return deadline is not None and asyncio.get_running_loop().time() + wait_s >= deadline
