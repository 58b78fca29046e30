"""What a safety provider can do. It is told of its shields before it is asked to run them."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

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
