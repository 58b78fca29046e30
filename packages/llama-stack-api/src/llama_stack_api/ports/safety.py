"""What a safety provider can do. It is told of its shields before it is asked to run them."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from llama_stack_api.openai.moderations import CreateModerationRequest, CreateModerationResponse
from llama_stack_api.principal import Call
from llama_stack_api.safety import RunShieldRequest, RunShieldResponse
from llama_stack_api.shields import Shield


@runtime_checkable
class RunsShields(Protocol):
    async def run_shield(self, request: RunShieldRequest, call: Call) -> RunShieldResponse:
        """`request.shield_id` is the shield's `identifier`. Whatever this raises, the messages go no further."""
        ...


@runtime_checkable
class RegistersShields(Protocol):
    async def register_shield(self, shield: Shield) -> None:
        """Called before the first `run_shield` of the shield, and again should it fail."""
        ...


@runtime_checkable
class Moderates(Protocol):
    """Beside `RunsShields`, where the provider judges by categories and scores. Without it the server makes a
    moderation of what `run_shield` says."""

    async def moderate(self, request: CreateModerationRequest, call: Call) -> CreateModerationResponse:
        """`request.model` is the shield's `identifier`. One verdict per text of a list, one for parts together."""
        ...


SAFETY_PORTS: tuple[type, ...] = (RunsShields, Moderates)
"""A safety provider satisfies at least one of these."""
