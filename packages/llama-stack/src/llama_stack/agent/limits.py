"""What the agent is limited to, and what it counts."""

from __future__ import annotations

from typing import Protocol

from llama_stack.config.responses import AgentLimits

__all__ = ["AgentLimits", "AgentMetrics"]


class AgentMetrics(Protocol):
    """Called from the event loop: count and return."""

    def tool_done(self, kind: str, outcome: str, duration_s: float) -> None:
        """`outcome` is `ok` or an error's code."""
        ...

    def response_done(self, status: str, rounds: int) -> None:
        """`rounds` is how often the model was asked."""
        ...
