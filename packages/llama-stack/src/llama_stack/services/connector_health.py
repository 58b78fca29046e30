"""How the servers behind connectors were when they were last asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from llama_stack.mcp.model import McpServerInfo
from llama_stack_api.connectors import ConnectorHealth

KEPT_MAX: Final = 1024
DESCRIPTION_CHARS_MAX: Final = 2000

Place: TypeAlias = tuple[str | None, str]
"""A connector: its tenant (None: of the run config) and its id."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What came of asking a server, `at` in Unix seconds; with `at` None it was never asked."""

    at: float | None = None
    info: McpServerInfo = field(default_factory=McpServerInfo)
    error: str | None = None
    tools_count: int | None = None

    @property
    def health(self) -> ConnectorHealth:
        if self.at is None:
            return ConnectorHealth(status="unknown")
        if self.error is not None:
            return ConnectorHealth(status="error", message=self.error, checked_at=int(self.at))
        return ConnectorHealth(status="ok", checked_at=int(self.at))

    @property
    def description(self) -> str | None:
        instructions = self.info.instructions or self.info.title
        return instructions[:DESCRIPTION_CHARS_MAX] if instructions else None


class HealthMemory:
    """The last observation of each of the connectors that were asked most recently; fresh for `kept_s`."""

    def __init__(self, kept_s: float, clock: Callable[[], float]) -> None:
        self._kept_s = kept_s
        self._clock = clock
        self._seen: dict[Place, Observed] = {}

    def last(self, place: Place) -> Observed | None:
        return self._seen.get(place)

    def fresh(self, place: Place) -> Observed | None:
        seen = self._seen.get(place)
        return seen if seen is not None and self._clock() - (seen.at or 0.0) < self._kept_s else None

    def keep(self, place: Place, observed: Observed) -> None:
        self._seen.pop(place, None)
        self._seen[place] = observed
        if len(self._seen) > KEPT_MAX:
            del self._seen[next(iter(self._seen))]

    def forget(self, place: Place) -> None:
        self._seen.pop(place, None)
