"""What a batch costs: uploaded, carried out and read over HTTP, in front of an upstream that answers at once."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any, Final

import httpx

from tests.bench import servers
from tests.bench.tables import table

LINES: Final = 5000
WATCHED_S: Final = 0.1
AT_ONCE: Final = (16, 64)
CONFIG: Final = servers.CONFIG.replace(
    "storage:\n",
    """\
  files:
  - provider_id: files
    provider_type: inline::localfs
    config: {{storage_dir: "{state}/files"}}
storage:
""",
)
HEAD: Final = [
    "lines", "API", "at once", "upload ms", "lines/s", "CPU ms a line", "MB before", "MB at most", "results ms",
    "failed",
]  # fmt: skip
BODY: Final = {"max_tokens": 100, "messages": [{"role": "user", "content": "Say fifty words."}]}


@dataclass(slots=True)
class Ended:
    seconds: float
    failed: int
    mb_at_most: float


def batches(scale: float) -> None:
    count = max(100, int(LINES * scale))
    rows = []
    with servers.upstream() as upstream:
        for at_once in AT_ONCE:
            config = CONFIG.replace("server: {{", f"server: {{{{batches: {{{{requests_concurrent_max: {at_once}}}}}, ")
            with servers.llama_stack(upstream, config) as server, _client(server.port) as client:
                _openai(server, client, 64)
                rows += [
                    [f"{count:,}", name, str(at_once), *measure(server, client, count)]
                    for name, measure in (("OpenAI", _openai), ("Anthropic", _anthropic))
                ]
    table("batches", HEAD, rows)


def _openai(server: servers.Server, client: httpx.Client, count: int) -> list[str]:
    body = {"model": "up/canned", **BODY}
    line = {"method": "POST", "url": "/v1/chat/completions", "body": body}
    content = b"".join(json.dumps({"custom_id": f"id-{n}", **line}).encode() + b"\n" for n in range(count))
    before_mb, before_s = server.memory_mb(), server.cpu_s()
    began = time.perf_counter()
    file = _sent(client.post("/v1/files", data={"purpose": "batch"}, files={"file": ("in.jsonl", content)}))
    uploaded_s = time.perf_counter() - began
    asked = {"input_file_id": file["id"], "endpoint": line["url"], "completion_window": "24h"}
    created = _sent(client.post("/v1/batches", json=asked))
    ended = _watched(server, client, f"/v1/batches/{created['id']}", count)
    cpu_s = server.cpu_s() - before_s
    batch = _sent(client.get(f"/v1/batches/{created['id']}"))
    began = time.perf_counter()
    lines = client.get(f"/v1/files/{batch['output_file_id']}/content").raise_for_status().content.count(b"\n")
    ended.failed += count - lines
    return _row(count, uploaded_s, ended, cpu_s, before_mb, time.perf_counter() - began)


def _anthropic(server: servers.Server, client: httpx.Client, count: int) -> list[str]:
    body = {"model": "up/canned", **BODY}
    requests = [{"custom_id": f"id-{n}", "params": body} for n in range(count)]
    content = json.dumps({"requests": requests}).encode()
    before_mb, before_s = server.memory_mb(), server.cpu_s()
    began = time.perf_counter()
    headers = {"content-type": "application/json"}
    created = _sent(client.post("/v1/messages/batches", content=content, headers=headers))
    uploaded_s = time.perf_counter() - began
    path = f"/v1/messages/batches/{created['id']}"
    ended = _watched(server, client, path, count)
    cpu_s = server.cpu_s() - before_s
    began = time.perf_counter()
    results = client.get(f"{path}/results").raise_for_status().content
    ended.failed += count - results.count(b'"type":"succeeded"')
    return _row(count, uploaded_s, ended, cpu_s, before_mb, time.perf_counter() - began)


def _row(count: int, uploaded_s: float, ended: Ended, cpu_s: float, before_mb: float, read_s: float) -> list[str]:
    cells = [uploaded_s * 1000, count / ended.seconds, cpu_s / count * 1000, before_mb, ended.mb_at_most]
    upload, rate, cpu, before, most = cells
    texts = [f"{upload:.0f}", f"{rate:,.0f}", f"{cpu:.2f}", f"{before:.0f}", f"{most:.0f}", f"{read_s * 1000:.0f}"]
    return [*texts, str(ended.failed)]


def _watched(server: servers.Server, client: httpx.Client, path: str, count: int) -> Ended:
    """From its creation to its end; a batch that fails as a whole has failed in all its lines."""
    began, most = time.perf_counter(), server.memory_mb()
    while True:
        batch = _sent(client.get(path))
        most = max(most, server.memory_mb())
        status = batch.get("status") or batch["processing_status"]
        if status in ("completed", "ended"):
            return Ended(time.perf_counter() - began, 0, most)
        if status in ("failed", "expired", "cancelled"):
            return Ended(time.perf_counter() - began, count, most)
        time.sleep(WATCHED_S)


def _sent(response: httpx.Response) -> Any:
    return response.raise_for_status().json()


def _client(port: int) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False)
