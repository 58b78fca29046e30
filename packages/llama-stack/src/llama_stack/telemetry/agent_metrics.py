"""What is counted of responses and their tools: an `AgentMetrics`."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

TOOL_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
ROUNDS = (1, 2, 3, 5, 8, 13, 21, 50, 100)


class AgentMetrics:
    """Kinds, statuses and outcomes are from small sets; no series grows with use."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._tools = Counter(
            "llama_stack_tool_invocations_total",
            "Tools that the server ran for responses.",
            ("kind", "outcome"),
            registry=registry,
        )
        self._seconds = Histogram(
            "llama_stack_tool_duration_seconds",
            "How long they took.",
            ("kind",),
            buckets=TOOL_SECONDS,
            registry=registry,
        )
        self._responses = Counter(
            "llama_stack_responses_total", "Responses that ended.", ("status",), registry=registry
        )
        self._rounds = Histogram(
            "llama_stack_response_rounds",
            "How often the model was asked in one response.",
            buckets=ROUNDS,
            registry=registry,
        )

    def tool_done(self, kind: str, outcome: str, duration_s: float) -> None:
        self._tools.labels(kind, outcome).inc()
        self._seconds.labels(kind).observe(duration_s)

    def response_done(self, status: str, rounds: int) -> None:
        self._responses.labels(status).inc()
        self._rounds.observe(rounds)
