"""What the server counts, for `/metrics`.

With several workers, set `PROMETHEUS_MULTIPROC_DIR` to an empty directory before this module is imported: every worker
then keeps its values in files there, and whichever worker is asked answers for all of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from llama_stack.telemetry.agent_metrics import AgentMetrics
from llama_stack.telemetry.run_metrics import RunMetrics
from llama_stack.telemetry.vector_metrics import VectorMetrics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
FIRST_TOKEN_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
UNKNOWN = "unknown"

BREAKER_STATES = {"closed": 0, "half_open": 1, "open": 2}

_GaugeMode: TypeAlias = Literal["livesum", "max", "min"]


@dataclass(frozen=True, slots=True)
class _InferenceSeries:
    count: Callable[[], None]
    duration: Callable[[float], None]
    first_token: Callable[[float], None]
    input_tokens: Callable[[float], None]
    output_tokens: Callable[[float], None]


class Metrics:
    """Counters and histograms of one process, in a registry of their own.

    Every call costs a few microseconds at most: the label sets are looked up in a dict, not built anew. `knows_model`
    keeps the `model` label to models that the server offers; names that only a client made up count as `unknown`.
    """

    def __init__(self, knows_model: Callable[[str], bool] | None = None) -> None:
        self.registry = CollectorRegistry()
        self.knows_model = knows_model
        self._requests = self._counter("requests", "Requests answered.", "route", "method", "status")
        self._request_seconds = self._histogram(
            "request_duration_seconds", "From the request's head to the reply's last byte.", REQUEST_SECONDS, "route"
        )
        self._concurrent = self._gauge("concurrent_requests", "Requests being served now.", mode="livesum")
        self._inference_seconds = self._histogram(
            "inference_duration_seconds", "Until the provider's last byte.", REQUEST_SECONDS, "api", "model", "provider"
        )
        self._inference_outcomes = self._counter(
            "inference", "Inference calls, by how they ended.", "api", "model", "provider", "outcome"
        )
        self._first_token_seconds = self._histogram(
            "time_to_first_token_seconds",
            "Until a stream's first event.",
            FIRST_TOKEN_SECONDS,
            "api",
            "model",
            "provider",
        )
        self._tokens = self._counter("tokens", "Tokens, by kind: input or output.", "model", "provider", "kind")
        self._attempts = self._counter("upstream_attempts", "Failed attempts at a provider.", "provider", "outcome")
        self._fallbacks = self._counter("upstream_fallbacks", "Requests that went on to another target.", "from", "to")
        self._breakers = self._gauge("breaker_state", "0 closed, 1 half open, 2 open.", "target", mode="max")
        self._providers = self._gauge("provider_healthy", "1: the provider answers.", "provider", mode="min")
        self._queue_depth = self._gauge("storage_queue_depth", "Writes that wait.", "store", mode="livesum")
        self._degraded = self._gauge(
            "shared_state_degraded", "1: goes on with this process's state alone.", "component", mode="max"
        )
        self.runs = RunMetrics(self.registry)
        self.agent = AgentMetrics(self.registry)
        self.vectors = VectorMetrics(self.registry)
        self._by_request: dict[tuple[str, str, int], tuple[Callable[[], None], Callable[[float], None]]] = {}
        self._by_inference: dict[tuple[str, str, str, str], _InferenceSeries] = {}

    def concurrent_requests(self, number: int) -> None:
        self._concurrent.set(number)

    def request_done(self, route: str, method: str, status: int, duration_s: float) -> None:
        """`route` is a path template, `method` one that HTTP defines: both come from a small set."""
        series = self._by_request.get((route, method, status))
        if series is None:
            series = (
                self._requests.labels(route, method, str(status)).inc,
                self._request_seconds.labels(route).observe,
            )
            self._by_request[route, method, status] = series
        series[0]()
        series[1](duration_s)

    def inference_done(
        self,
        api: str,
        model: str,
        provider: str,
        outcome: str,
        duration_s: float,
        first_byte_s: float | None,
        usage: tuple[int, int] | None,
    ) -> None:
        """`outcome` is `ok`, `cancelled` or an error's code; `usage` is (input tokens, output tokens)."""
        series = self._by_inference.get((api, model, provider, outcome))
        if series is None:
            series = self._inference_series(api, model, provider, outcome)
        series.count()
        series.duration(duration_s)
        if first_byte_s is not None:
            series.first_token(first_byte_s)
        if usage is not None:
            series.input_tokens(usage[0])
            series.output_tokens(usage[1])

    def attempt(self, provider: str, outcome: str) -> None:
        self._attempts.labels(provider, outcome).inc()

    def fallback(self, from_: str, to: str) -> None:
        """Both are targets: `provider/model`."""
        self._fallbacks.labels(from_, to).inc()

    def breaker(self, target: str, state: str) -> None:
        """`state` is `closed`, `half_open` or `open`."""
        self._breakers.labels(target).set(BREAKER_STATES[state])

    def provider_healthy(self, provider: str, healthy: bool) -> None:
        self._providers.labels(provider).set(healthy)

    def storage_queue(self, store: str, depth: int) -> None:
        self._queue_depth.labels(store).set(depth)

    def shared_state_degraded(self, component: str, degraded: bool) -> None:
        self._degraded.labels(component).set(degraded)

    def render(self) -> bytes:
        """All series in Prometheus's text format; with several workers, theirs too."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)

    def _inference_series(self, api: str, model: str, provider: str, outcome: str) -> _InferenceSeries:
        known = self.knows_model is None or self.knows_model(model)
        label = model if known else UNKNOWN
        series = _InferenceSeries(
            count=self._inference_outcomes.labels(api, label, provider, outcome).inc,
            duration=self._inference_seconds.labels(api, label, provider).observe,
            first_token=self._first_token_seconds.labels(api, label, provider).observe,
            input_tokens=self._tokens.labels(label, provider, "input").inc,
            output_tokens=self._tokens.labels(label, provider, "output").inc,
        )
        if known:
            self._by_inference[api, model, provider, outcome] = series
        return series

    def _counter(self, name: str, help: str, *labels: str) -> Counter:
        return Counter(f"llama_stack_{name}_total", help, labels, registry=self.registry)

    def _histogram(self, name: str, help: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"llama_stack_{name}", help, labels, buckets=buckets, registry=self.registry)

    def _gauge(self, name: str, help: str, *labels: str, mode: _GaugeMode) -> Gauge:
        return Gauge(f"llama_stack_{name}", help, labels, registry=self.registry, multiprocess_mode=mode)


def forget_worker(pid: int) -> None:
    """Called by the process that supervises workers when one of them is gone: its gauges no longer count."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        mark_process_dead(pid)  # type: ignore[no-untyped-call]
