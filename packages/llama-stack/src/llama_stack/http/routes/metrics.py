"""`/metrics`, for Prometheus."""

from __future__ import annotations

from llama_stack.http.dispatch import Operation
from llama_stack.http.exchange import Exchange
from llama_stack.telemetry.metrics import CONTENT_TYPE, Metrics


def metrics_operations(metrics: Metrics) -> list[Operation]:
    content_type = CONTENT_TYPE.encode()

    async def get_metrics(exchange: Exchange) -> None:
        await exchange.send_bytes(metrics.render(), content_type)

    return [
        Operation(
            "GET",
            "/metrics",
            get_metrics,
            name="get_metrics",
            summary="Counters and histograms in Prometheus's text format.",
            tag="Admin",
            media_type="text/plain",
        )
    ]
