"""This server with what the starter has for knowledge: files on disk, the parsers inside, MiniLM, faiss, SQLite."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import httpx

from tests.bench.servers import CONFIG

EMBEDDING_MODEL: Final = "minilm/all-minilm-l6-v2"
INSTANT_MODEL: Final = "up/embed"
"""Of the loopback upstream: it takes no time, and means nothing."""
RERANK_MODEL: Final = "minilm/all-minilm-l6-v2-reranker"
INGESTION_S: Final = 1800.0

KNOWLEDGE: Final = CONFIG.replace(
    "  inference:\n",
    """\
  files:
  - {{provider_id: localfs, provider_type: "inline::localfs"}}
  file_processors:
  - {{provider_id: auto, provider_type: "inline::auto"}}
  vector_io:
  - {{provider_id: faiss, provider_type: "inline::faiss"}}
  inference:
  - {{provider_id: minilm, provider_type: "inline::onnx-embeddings"}}
""",
) + (
    "registered_resources:\n"
    "  models:\n"
    "  - {{model_id: embed, provider_id: up, model_type: embedding,"
    " metadata: {{embedding_dimension: 384, context_length: 256}}}}\n"
    "vector_stores:\n"
    "  default_embedding_model: {{provider_id: minilm, model_id: all-minilm-l6-v2}}\n"
    "  default_reranker_model: {{provider_id: minilm, model_id: all-minilm-l6-v2-reranker}}\n"
)


def client_of(port: int) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{port}/v1", timeout=60)


def upload(client: httpx.Client, name: str, content: bytes) -> str:
    reply = client.post("/files", files={"file": (name, content)}, data={"purpose": "assistants"})
    return str(reply.raise_for_status().json()["id"])


def ingest(client: httpx.Client, store: str, file_ids: Sequence[str]) -> None:
    """Until all are there; a file that failed ends it."""
    body = {"file_ids": list(file_ids)}
    batch = client.post(f"/vector_stores/{store}/file_batches", json=body).raise_for_status().json()
    deadline = time.monotonic() + INGESTION_S
    while batch["status"] == "in_progress":
        assert time.monotonic() < deadline, f"not ingested in time: {batch}"
        time.sleep(0.05)
        batch = client.get(f"/vector_stores/{store}/file_batches/{batch['id']}").raise_for_status().json()
    assert batch["file_counts"]["completed"] == len(file_ids), batch


def new_store(client: httpx.Client, **options: Any) -> str:
    return str(client.post("/vector_stores", json={"name": "bench", **options}).raise_for_status().json()["id"])
