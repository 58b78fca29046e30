"""What is counted of vector stores."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

SEARCH_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
INSERT_SECONDS = (0.0025, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class VectorMetrics:
    """Providers and modes are from small sets; no series grows with use."""

    def __init__(self, registry: CollectorRegistry) -> None:
        prefix = "llama_stack_vector_io"
        self._stores = Counter(f"{prefix}_stores_total", "Vector stores made.", ("provider",), registry=registry)
        self._inserts = Counter(
            f"{prefix}_inserts_total",
            "Batches of chunks that were indexed, of files and of clients.",
            ("provider",),
            registry=registry,
        )
        self._chunks = Counter(
            f"{prefix}_chunks_processed_total", "Chunks that were indexed.", ("provider",), registry=registry
        )
        self._insert_seconds = Histogram(
            f"{prefix}_insert_duration_seconds",
            "Indexing and storing of a batch of chunks.",
            ("provider",),
            buckets=INSERT_SECONDS,
            registry=registry,
        )
        self._queries = Counter(f"{prefix}_queries_total", "Searches.", ("provider", "mode"), registry=registry)
        self._search_seconds = Histogram(
            f"{prefix}_retrieval_duration_seconds",
            "A search in one store, without the embedding of its queries.",
            ("provider", "mode"),
            buckets=SEARCH_SECONDS,
            registry=registry,
        )
        self._deletes = Counter(f"{prefix}_deletes_total", "Vector stores removed.", registry=registry)

    def store_made(self, provider: str) -> None:
        self._stores.labels(provider).inc()

    def inserted(self, provider: str, chunks: int, duration_s: float) -> None:
        self._inserts.labels(provider).inc()
        self._chunks.labels(provider).inc(chunks)
        self._insert_seconds.labels(provider).observe(duration_s)

    def searched(self, provider: str, mode: str, duration_s: float) -> None:
        self._queries.labels(provider, mode).inc()
        self._search_seconds.labels(provider, mode).observe(duration_s)

    def store_removed(self) -> None:
        self._deletes.inc()
