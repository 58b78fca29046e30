"""What routing tells the rest of the server, so that metrics and logs need no hook inside it."""

from __future__ import annotations

from typing import Protocol

from llama_stack.routing.breaker import BreakerState
from llama_stack.routing.entries import Entry, Target
from llama_stack.routing.health import ProviderHealth


class RoutingObserver(Protocol):
    """Called synchronously from the event loop: count and return. The happy path of a request calls nothing."""

    def attempt_failed(self, target: Target, error: Exception, *, retry_in_s: float | None) -> None:
        """`retry_in_s` is None when this target is not tried again for this request."""
        ...

    def fell_back(self, entry: Entry, failed: Target, to: Target) -> None: ...

    def breaker_changed(self, target_key: str, state: BreakerState) -> None: ...

    def provider_health_changed(self, provider_id: str, health: ProviderHealth) -> None: ...

    def listing_changed(self, provider_id: str, resources: int, dropped: int) -> None:
        """`dropped` counts resources beyond the limit per provider."""
        ...

    def resource_not_listed(self, identifier: str, provider_id: str) -> None:
        """A registered resource that its provider, having been asked, does not list."""
        ...

    def shared_state_degraded(self, component: str, degraded: bool, reason: str) -> None:
        """KV is away (or back): `component` (`table`, `breakers`) goes on with the state of this process."""
        ...


class SilentObserver:
    """Hears everything, says nothing; also a base for observers that want a part."""

    def attempt_failed(self, target: Target, error: Exception, *, retry_in_s: float | None) -> None: ...

    def fell_back(self, entry: Entry, failed: Target, to: Target) -> None: ...

    def breaker_changed(self, target_key: str, state: BreakerState) -> None: ...

    def provider_health_changed(self, provider_id: str, health: ProviderHealth) -> None: ...

    def listing_changed(self, provider_id: str, resources: int, dropped: int) -> None: ...

    def resource_not_listed(self, identifier: str, provider_id: str) -> None: ...

    def shared_state_degraded(self, component: str, degraded: bool, reason: str) -> None: ...
