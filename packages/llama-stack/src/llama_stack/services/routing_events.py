"""What routing reports, as metrics and log lines."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import structlog

from llama_stack.routing.breaker import BreakerState
from llama_stack.routing.entries import Entry, Target
from llama_stack.routing.health import HealthState, ProviderHealth
from llama_stack_api.errors import LlamaStackError

START_S = 60.0
"""How long the first listing of a provider is news of the start and no change."""


class RoutingMetrics(Protocol):
    def attempt(self, provider: str, outcome: str) -> None: ...

    def fallback(self, from_: str, to: str) -> None: ...

    def breaker(self, target: str, state: str) -> None: ...

    def provider_healthy(self, provider: str, healthy: bool) -> None: ...

    def shared_state_degraded(self, component: str, degraded: bool) -> None: ...


class RoutingEvents:
    """A `RoutingObserver`. Labels name providers, never models: a caller can make up a model id."""

    def __init__(self, metrics: RoutingMetrics, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._clock = clock
        self._started_s = clock()
        self._heard_of: set[tuple[str, str]] = set()
        self._log = structlog.get_logger("llama_stack.routing")

    def attempt_failed(self, target: Target, error: Exception, *, retry_in_s: float | None) -> None:
        outcome = type(error).default_code if isinstance(error, LlamaStackError) else type(error).__name__
        self._metrics.attempt(target.provider_id, outcome or "error")
        self._log.info("attempt failed", target=target.key, outcome=outcome, retry_in_s=retry_in_s)

    def fell_back(self, entry: Entry, failed: Target, to: Target) -> None:
        self._metrics.fallback(failed.provider_id, to.provider_id)
        self._log.info("fell back", model=entry.identifier, failed=failed.key, to=to.key)

    def breaker_changed(self, target_key: str, state: BreakerState) -> None:
        self._metrics.breaker(target_key.partition("/")[0], state.value)
        self._log.warning("breaker changed", target=target_key, state=state.value)

    def provider_health_changed(self, provider_id: str, health: ProviderHealth) -> None:
        healthy = health.state is not HealthState.UNHEALTHY
        self._metrics.provider_healthy(provider_id, healthy)
        as_expected = self._belongs_to_start("health", provider_id) and healthy
        say = self._log.debug if as_expected else self._log.info if healthy else self._log.warning
        say("provider health changed", provider=provider_id, state=health.state.value, error=health.last_error)

    def listing_changed(self, provider_id: str, resources: int, dropped: int) -> None:
        as_expected = self._belongs_to_start("listing", provider_id) and not dropped
        say = self._log.debug if as_expected else self._log.info
        say("listing changed", provider=provider_id, resources=resources, dropped=dropped)

    def _belongs_to_start(self, kind: str, provider_id: str) -> bool:
        """Whether this is the first of its kind from a provider, and just after the start: every start has those."""
        first = (kind, provider_id) not in self._heard_of
        self._heard_of.add((kind, provider_id))
        return first and self._clock() - self._started_s < START_S

    def resource_not_listed(self, identifier: str, provider_id: str) -> None:
        self._log.warning("registered but not listed by its provider", resource=identifier, provider=provider_id)

    def shared_state_degraded(self, component: str, degraded: bool, reason: str) -> None:
        self._metrics.shared_state_degraded(component, degraded)
        say = self._log.warning if degraded else self._log.info
        say("shared state", component=component, degraded=degraded, reason=reason)
