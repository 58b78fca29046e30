"""`server.websocket`: what WebSocket connections to the Responses API may use."""

from __future__ import annotations

from pydantic import Field

from llama_stack.config.section import Section


class SocketLimits(Section):
    """Each response on a connection counts among `server.limits.concurrent_requests_max` besides."""

    age_s: float = Field(default=3600, ge=0)
    """Seconds after which a connection ends, once its present response has."""
    idle_s: float = Field(default=600, gt=0)
    """Seconds that a connection may be without a response."""
    waiting_max: int = Field(default=16, ge=1)
    """Messages that may wait for the response before theirs; together they may be as large as one request's body."""
    connections_max: int = Field(default=1024, ge=1)
    """Connections that one worker holds at a time."""
    connections_per_caller_max: int | None = Field(default=None, ge=1)
    """Of them, those of one caller. Without it, one alone may have all."""
