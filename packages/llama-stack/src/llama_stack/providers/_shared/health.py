"""How a provider is, by whether it answers something small."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from llama_stack_api.errors import LlamaStackError
from llama_stack_api.provider import HealthResponse, HealthStatus

HEALTH_TIMEOUT_S = 4.0
"""Whoever shows the health of all providers waits for five seconds."""


async def health_of(question: Awaitable[object], *, timeout_s: float = HEALTH_TIMEOUT_S) -> HealthResponse:
    """Well if the question has an answer in time, whatever it is; else why it has none."""
    try:
        async with asyncio.timeout(timeout_s):
            await question
    except TimeoutError:
        return unwell(f"no answer in {timeout_s:g} s")
    except LlamaStackError as error:
        return unwell(error.message)
    return HealthResponse(status=HealthStatus.OK)


def unwell(message: str) -> HealthResponse:
    return HealthResponse(status=HealthStatus.ERROR, message=message)
