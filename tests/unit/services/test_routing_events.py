"""What the log says of routing, and how loudly."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from llama_stack.routing.health import HealthState, ProviderHealth
from llama_stack.services.routing_events import START_S, RoutingEvents
from llama_stack.telemetry.metrics import Metrics

HEALTHY = ProviderHealth(HealthState.HEALTHY)
UNHEALTHY = ProviderHealth(HealthState.UNHEALTHY, last_error="refused")


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_a_start_as_expected_is_no_news() -> None:
    events = RoutingEvents(Metrics(), clock=Clock())
    with capture_logs() as said:
        for provider in ("a", "b"):
            events.provider_health_changed(provider, HEALTHY)
            events.listing_changed(provider, 3, 0)
        events.listing_changed("a", 4, 0)
        events.provider_health_changed("a", UNHEALTHY)
        events.provider_health_changed("a", HEALTHY)
    assert [line["log_level"] for line in said] == [*["debug"] * 4, "info", "warning", "info"]


@pytest.mark.parametrize("late", [False, True])
def test_what_is_not_as_expected_is(late: bool) -> None:
    clock = Clock()
    events = RoutingEvents(Metrics(), clock=clock)
    clock.now_s += START_S if late else 0
    with capture_logs() as said:
        events.provider_health_changed("a", HEALTHY if late else UNHEALTHY)
        events.provider_health_changed("a", UNHEALTHY if late else HEALTHY)
        events.listing_changed("a", 3, 0 if late else 10)
    levels = ["info", "warning", "info"] if late else ["warning", "info", "info"]
    assert [line["log_level"] for line in said] == levels
