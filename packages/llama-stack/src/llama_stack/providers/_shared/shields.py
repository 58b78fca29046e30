"""What safety providers share: the shields that they were told of, and answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_stack_api.errors import NotFound
from llama_stack_api.safety import RunShieldResponse, SafetyViolation, ViolationLevel
from llama_stack_api.shields import Shield

MESSAGE = "This content is not allowed here."


class KnownShields:
    """Implements `ports.safety.RegistersShields`."""

    def __init__(self) -> None:
        self._shields: dict[str, Shield] = {}

    async def register_shield(self, shield: Shield) -> None:
        self._shields[shield.identifier] = shield

    def shield(self, shield_id: str | None) -> Shield:
        try:
            return self._shields[shield_id or ""]
        except KeyError:
            raise NotFound(f"There is no shield {shield_id!r} at this provider.") from None


def passed() -> RunShieldResponse:
    return RunShieldResponse()


def blocked(message: str | None = None, *, categories: Sequence[str] = (), **metadata: Any) -> RunShieldResponse:
    """`message` is for the user; None: nothing more than that it is not allowed."""
    return RunShieldResponse(
        violation=SafetyViolation(
            violation_level=ViolationLevel.ERROR,
            user_message=message or MESSAGE,
            metadata={"categories": list(categories), **metadata},
        )
    )
