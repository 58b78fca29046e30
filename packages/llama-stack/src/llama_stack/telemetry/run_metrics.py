"""What is counted of runs: a `RunObserver`."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

RUN_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
COMMIT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)


class RunMetrics:
    """Kinds, statuses and outcomes are from small sets; no series grows with use."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ended = Counter("llama_stack_runs_total", "Runs that ended.", ("kind", "status"), registry=registry)
        self._seconds = Histogram(
            "llama_stack_run_duration_seconds",
            "From a run's first start to its end.",
            ("kind",),
            buckets=RUN_SECONDS,
            registry=registry,
        )
        self._again = Counter(
            "llama_stack_runs_taken_up_total",
            "Runs that went on after an interruption: a crash, a stop, a lease that was over.",
            ("kind",),
            registry=registry,
        )
        self._executing = Gauge(
            "llama_stack_runs_executing",
            "Runs that execute now.",
            ("kind",),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._waiting = Gauge(
            "llama_stack_runs_waiting",
            "Runs that could execute and that no worker has, in the whole database.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._steps = Counter("llama_stack_run_steps_total", "Steps of runs.", ("kind", "outcome"), registry=registry)
        self._events = Counter("llama_stack_run_events_total", "Events of runs, stored.", registry=registry)
        self._commit_seconds = Histogram(
            "llama_stack_run_commit_seconds",
            "Transactions that store what runs did.",
            buckets=COMMIT_SECONDS,
            registry=registry,
        )

    def run_began(self, kind: str, *, again: bool) -> None:
        self._executing.labels(kind).inc()
        if again:
            self._again.labels(kind).inc()

    def run_left(self, kind: str) -> None:
        self._executing.labels(kind).dec()

    def run_ended(self, kind: str, status: str, duration_s: float) -> None:
        self._ended.labels(kind, status).inc()
        self._seconds.labels(kind).observe(duration_s)

    def step_ended(self, kind: str, outcome: str) -> None:
        self._steps.labels(kind, outcome).inc()

    def committed(self, events: int, duration_s: float) -> None:
        self._events.inc(events)
        self._commit_seconds.observe(duration_s)

    def waiting(self, count: int) -> None:
        self._waiting.set(count)
