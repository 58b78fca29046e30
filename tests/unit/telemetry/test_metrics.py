"""Series, their labels, and several workers as one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from llama_stack.telemetry.metrics import Metrics

WORKER = """
import sys
from llama_stack.telemetry.metrics import Metrics, forget_worker
metrics = Metrics()
metrics.request_done("/v1/models", "GET", 200, 0.2)
metrics.inference_done("chat", "m", "p", "ok", 1.0, 0.1, (3, 4))
metrics.concurrent_requests(2)
metrics.breaker("p", sys.argv[1])
print(metrics.render().decode())
"""


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name.removeprefix("llama_stack_"), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(metrics: Metrics, name: str, **labels: str) -> float | None:
    return samples(metrics.render().decode()).get((name, tuple(sorted(labels.items()))))


def test_requests() -> None:
    metrics = Metrics()
    for duration_s in (0.001, 3.0):
        metrics.request_done("/v1/models", "GET", 200, duration_s)
    metrics.request_done("/v1/models", "GET", 404, 0.1)
    assert of(metrics, "requests_total", route="/v1/models", method="GET", status="200") == 2
    assert of(metrics, "requests_total", route="/v1/models", method="GET", status="404") == 1
    assert of(metrics, "request_duration_seconds_count", route="/v1/models") == 3
    assert of(metrics, "request_duration_seconds_bucket", route="/v1/models", le="0.005") == 1
    assert of(metrics, "request_duration_seconds_bucket", route="/v1/models", le="5.0") == 3


def test_inference() -> None:
    metrics = Metrics()
    metrics.inference_done("chat", "p/m", "p", "ok", 2.0, 0.5, (10, 20))
    metrics.inference_done("chat", "p/m", "p", "ok", 2.0, None, (1, 2))
    metrics.inference_done("chat", "p/m", "p", "rate_limit_exceeded", 0.1, None, None)
    labels = {"api": "chat", "model": "p/m", "provider": "p"}
    assert of(metrics, "tokens_total", model="p/m", provider="p", kind="input") == 11
    assert of(metrics, "tokens_total", model="p/m", provider="p", kind="output") == 22
    assert of(metrics, "inference_total", **labels, outcome="ok") == 2
    assert of(metrics, "inference_total", **labels, outcome="rate_limit_exceeded") == 1
    assert of(metrics, "time_to_first_token_seconds_count", **labels) == 1
    assert of(metrics, "inference_duration_seconds_sum", **labels) == 4.1


def test_names_that_a_client_made_up_are_one_series_and_take_no_memory() -> None:
    metrics = Metrics(knows_model=lambda model: model == "known")
    for number in range(1000):
        metrics.inference_done("chat", f"made-up-{number}", "p", "ok", 1.0, None, None)
    metrics.inference_done("chat", "known", "p", "ok", 1.0, None, None)
    labels = {"api": "chat", "provider": "p", "outcome": "ok"}
    assert of(metrics, "inference_total", model="unknown", **labels) == 1000
    assert of(metrics, "inference_total", model="known", **labels) == 1
    assert "made-up" not in metrics.render().decode()
    assert len(metrics._by_inference) == 1


def test_routing_and_storage() -> None:
    metrics = Metrics()
    metrics.attempt("p", "upstream_timeout")
    metrics.fallback("p", "q")
    metrics.breaker("p", "open")
    metrics.provider_healthy("p", False)
    metrics.storage_queue("sql", 7)
    metrics.shared_state_degraded("table", True)
    metrics.concurrent_requests(3)
    assert of(metrics, "upstream_attempts_total", provider="p", outcome="upstream_timeout") == 1
    assert of(metrics, "upstream_fallbacks_total", **{"from": "p", "to": "q"}) == 1
    assert of(metrics, "breaker_state", target="p") == 2
    assert of(metrics, "provider_healthy", provider="p") == 0
    assert of(metrics, "storage_queue_depth", store="sql") == 7
    assert of(metrics, "shared_state_degraded", component="table") == 1
    assert of(metrics, "concurrent_requests") == 3


def test_each_server_counts_for_itself() -> None:
    first, second = Metrics(), Metrics()
    first.request_done("/v1/models", "GET", 200, 0.1)
    assert of(second, "requests_total", route="/v1/models", method="GET", status="200") is None


def test_several_workers_are_counted_together(tmp_path: Path) -> None:
    environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for state in ("open", "closed"):
        ended = subprocess.run(
            [sys.executable, "-c", WORKER, state], env=environ, capture_output=True, text=True, check=True
        )
    told = samples(ended.stdout)
    requests = ("requests_total", (("method", "GET"), ("route", "/v1/models"), ("status", "200")))
    assert told[requests] == 2
    assert told["tokens_total", (("kind", "output"), ("model", "m"), ("provider", "p"))] == 8
    assert told["breaker_state", (("target", "p"),)] == 2
    # The state of the moment counts live processes alone, and the first has ended; it is told apart by its id.
    assert told["concurrent_requests", ()] in {2, 4}
