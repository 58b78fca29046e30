"""Safety: run a shield over messages, or moderate text."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from llama_stack_api.safety.models import (
    ModerationObject,
    ModerationObjectResults,
    RunModerationRequest,
    RunShieldRequest,
    RunShieldResponse,
    SafetyViolation,
    ViolationLevel,
)
from llama_stack_api.shields import GetShieldRequest, Shield

__all__ = [
    "Safety", "ShieldStore", "RunShieldRequest", "RunShieldResponse", "SafetyViolation", "ViolationLevel",
    "RunModerationRequest", "ModerationObject", "ModerationObjectResults",
]  # fmt: skip


class ShieldStore(Protocol):
    async def get_shield(self, request: GetShieldRequest) -> Shield: ...


@runtime_checkable
class Safety(Protocol):
    async def run_shield(self, request: RunShieldRequest) -> RunShieldResponse: ...

    async def run_moderation(self, request: RunModerationRequest) -> ModerationObject: ...
