"""What every provider may have besides its API: opening, closing, a health check. All are optional."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from llama_stack_api.provider import HealthResponse


@runtime_checkable
class Opens(Protocol):
    async def open(self) -> None:
        """Heavy imports, child processes, pools. Must not wait for the network: start-up is offline."""
        ...


@runtime_checkable
class Closes(Protocol):
    async def close(self) -> None: ...


@runtime_checkable
class ReportsHealth(Protocol):
    async def health(self) -> HealthResponse: ...
