"""How the providers are, as discovery and calls find them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class HealthState(StrEnum):
    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """When the state began, when it was last confirmed, and what went wrong, in words for people."""

    state: HealthState = HealthState.UNKNOWN
    since_unix_s: float = 0.0
    checked_unix_s: float = 0.0
    last_error: str | None = None


UNKNOWN = ProviderHealth()


class HealthRecords:
    """The health of each provider. `changed(provider_id, health)` is called when a state turns, not at every check."""

    def __init__(self, wall_clock: Callable[[], float], changed: Callable[[str, ProviderHealth], None]) -> None:
        self._wall_clock = wall_clock
        self._changed = changed
        self._records: dict[str, ProviderHealth] = {}

    def get(self, provider_id: str) -> ProviderHealth:
        return self._records.get(provider_id, UNKNOWN)

    def healthy(self, provider_id: str) -> None:
        self._record(provider_id, HealthState.HEALTHY, None)

    def unhealthy(self, provider_id: str, error: str) -> None:
        self._record(provider_id, HealthState.UNHEALTHY, error)

    def _record(self, provider_id: str, state: HealthState, error: str | None) -> None:
        now = self._wall_clock()
        before = self.get(provider_id)
        since = before.since_unix_s if before.state is state else now
        self._records[provider_id] = ProviderHealth(state, since, now, error)
        if before.state is not state:
            self._changed(provider_id, self._records[provider_id])
