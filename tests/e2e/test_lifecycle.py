"""Starting and stopping: what the server refuses, how it ends, and whom it lets in."""

from __future__ import annotations

import itertools
import json
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from tests.e2e.conftest import CHAT_MODEL, HELLO, ConfigFile
from tests.support.processes import children, listening_ports
from tests.support.running import START_S, RunningServer, environment, refused, running
from tests.support.upstream import Upstream, Wire, models, text


def test_it_refuses_to_listen_beyond_this_machine_without_keys(tmp_path: Path, config_file: ConfigFile) -> None:
    code, said = refused(config_file({}, server={"host": "0.0.0.0"}), "--port", "0", home=tmp_path)
    assert code == 1
    assert "--allow-unauthenticated" in said
    assert "Traceback" not in said


def test_it_listens_there_if_told_so(tmp_path: Path, config_file: ConfigFile) -> None:
    path = config_file({}, server={"host": "0.0.0.0"})
    with running(path, "--port", "0", "--allow-unauthenticated", home=tmp_path) as server:
        assert httpx.get(f"{server.url}/v1/health").json() == {"status": "OK"}


def test_a_port_in_use_is_told_at_once(tmp_path: Path, config_file: ConfigFile) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, said = refused(config_file({}), home=tmp_path, environ={"LLAMA_STACK_PORT": port})
    assert code == 1
    assert f"port {port} of 127.0.0.1 is in use" in said


def test_a_config_with_mistakes_is_told_with_lines(tmp_path: Path, config_file: ConfigFile) -> None:
    code, said = refused(config_file({}, server={"prot": 1}), "--strict", home=tmp_path)
    assert code == 1
    assert "server.prot" in said
    assert "Did you mean 'port'?" in said


def test_a_provider_that_does_not_open_stops_no_other(tmp_path: Path, upstream: Upstream) -> None:
    upstream.always(models("m"), on="/models")
    providers = [
        {"provider_id": "bad", "provider_type": "remote::unheard-of"},
        {"provider_id": "up", "provider_type": "remote::vllm", "config": {"base_url": upstream.base_url}},
    ]
    path = tmp_path / "run.yaml"
    path.write_text(json.dumps({"distro_name": "half", "providers": {"inference": providers}}))
    with running(str(path), "--port", "0", home=tmp_path) as server:
        (problem,) = server.events("provider_not_served")
        assert "'bad'" in problem["reason"]
        reply = OpenAI(base_url=f"{server.url}/v1", api_key="x").chat.completions.create(model="up/m", messages=HELLO)
        assert reply.choices[0].message.content == "Hello from the upstream."


def test_a_setting_that_a_provider_does_not_know_is_a_warning(tmp_path: Path, upstream: Upstream) -> None:
    upstream.always(models("m"), on="/models")
    settings = {"base_url": upstream.base_url, "refresh_model": True}
    entry = {"provider_id": "up", "provider_type": "remote::vllm", "config": settings}
    path = tmp_path / "run.yaml"
    path.write_text(json.dumps({"distro_name": "doubt", "providers": {"inference": [entry]}}))
    with running(str(path), "--port", "0", home=tmp_path) as server:
        (warning,) = server.events("config_warning")
        assert "config.refresh_model is not known" in warning["reason"]
        assert not server.events("provider_not_served")
        (serving,) = server.events("serving")
        assert (serving["providers"], serving["refused"]) == (["up"], [])
    code, said = refused(str(path), "--port", "0", "--strict", home=tmp_path)
    assert code == 1
    assert "Did you mean 'refresh_models'?" in said


def test_a_key_file_that_cannot_be_read_is_told(tmp_path: Path, config_file: ConfigFile) -> None:
    keys = tmp_path / "keys.yaml"
    path = config_file({}, server={"auth": {"provider_config": {"type": "api_keys", "file": str(keys)}}})
    for content, reason in ((None, "cannot be read: No such file"), ("- id: [", "is not valid YAML, line 1")):
        if content is not None:
            keys.write_text(content)
        code, said = refused(path, "--port", "0", home=tmp_path)
        assert code == 1
        assert f"server.auth.provider_config.file: {keys} {reason}" in said
        assert "unexpected" not in said


def test_a_config_of_the_reference_implementation_runs_unchanged(tmp_path: Path, upstream: Upstream) -> None:
    upstream.always(models("m"), on="/models")
    path = Path(__file__).parents[1] / "unit/config/data/reference_starter.yaml"
    with running(str(path), "--port", "0", home=tmp_path, environ={"VLLM_URL": upstream.base_url}) as server:
        client = OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0)
        assert client.chat.completions.create(model="vllm/m", messages=HELLO).id
        reasons = [problem["reason"] for problem in server.events("provider_not_served")]
        assert client.vector_stores.list().data == []
    assert any("'rag-runtime'" in reason and "inline::rag-runtime" in reason for reason in reasons), reasons
    served = ("vllm", "gemini", "faiss", "sqlite-vec", "llama-guard", "code-scanner")
    assert not any(f"'{name}'" in reason for reason in reasons for name in served), reasons


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_stream_in_flight_is_finished_before_the_end(
    tmp_path: Path, config_file: ConfigFile, upstream: Upstream, signum: int
) -> None:
    words = "word " * 20
    upstream.always(models("m"), on="/models")
    upstream.reply(text(words, wire=Wire(gap_s=0.05)), on="/chat/completions")
    with running(config_file({"up": upstream.base_url}), "--port", "0", home=tmp_path) as server:
        client = OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0)
        stream = iter(client.chat.completions.create(model="up/m", messages=HELLO, stream=True))
        seen = [next(stream), next(stream)]
        server.process.send_signal(signum)
        seen += list(stream)
        assert server.stop() == 0
    said = "".join(chunk.choices[0].delta.content or "" for chunk in seen if chunk.choices)
    assert said == words
    assert seen[-1].choices[0].finish_reason == "stop"


def test_the_grace_period_ends(tmp_path: Path, config_file: ConfigFile, upstream: Upstream) -> None:
    upstream.always(models("m"), on="/models")
    upstream.reply(text("one two three", wire=Wire(stall_after=2)), on="/chat/completions")
    path = config_file({"up": upstream.base_url}, server={"shutdown_grace_s": 0.3})
    with running(path, "--port", "0", home=tmp_path) as server:
        client = OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0)
        stream = iter(client.chat.completions.create(model="up/m", messages=HELLO, stream=True))
        next(stream)
        stopper = threading.Thread(target=server.stop)
        stopper.start()
        with pytest.raises(openai.APIError):
            list(stream)
        stopper.join()
        assert server.process.returncode == 0


def test_a_second_interrupt_does_not_wait(tmp_path: Path, config_file: ConfigFile, upstream: Upstream) -> None:
    upstream.always(models("m"), on="/models")
    upstream.reply(text("one two three", wire=Wire(stall_after=2)), on="/chat/completions")
    path = config_file({"up": upstream.base_url}, server={"shutdown_grace_s": 60})
    with running(path, "--port", "0", home=tmp_path) as server:
        client = OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0)
        stream = iter(client.chat.completions.create(model="up/m", messages=HELLO, stream=True))
        next(stream)
        server.process.send_signal(signal.SIGINT)
        # New requests are refused as soon as the first signal has been seen.
        with pytest.raises(openai.InternalServerError, match="shutting down"):
            any(client.models.list() is None for _ in itertools.repeat(None))
        assert server.stop(signal.SIGINT) == 0


def test_a_start_that_hangs_can_be_ended(tmp_path: Path, config_file: ConfigFile) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = {"type": "sql_postgres", "host": "127.0.0.1", "port": silent.getsockname()[1], "user": "u"}
        backends = {"sql_default": database, "kv_default": {"type": "kv_sqlite", "db_path": str(tmp_path / "kv.db")}}
        path = config_file({}, storage={"backends": backends})
        server = RunningServer((path, "--port", "0"), environment(tmp_path))
        silent.settimeout(START_S)
        connection, _ = silent.accept()
        with connection:
            server.wait_said("still opening")
            assert server.stop(signal.SIGTERM) == 0
    assert server.url == ""


def new_key() -> dict[str, Any]:
    command = [sys.executable, "-c", "from llama_stack.cli.main import main; main()", "stack", "keys", "new", "--json"]
    made: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return made


def test_only_holders_of_a_key_get_in(tmp_path: Path, config_file: ConfigFile, upstream: Upstream) -> None:
    made = new_key()
    auth = {"provider_config": {"type": "api_keys", "keys": [{"id": "ada", "hash": made["hash"]}]}}
    upstream.always(models("m"), on="/models")
    path = config_file({"up": upstream.base_url}, server={"auth": auth, "host": "0.0.0.0"})
    with running(path, "--port", "0", home=tmp_path) as server:
        holder = OpenAI(base_url=f"{server.url}/v1", api_key=made["key"], max_retries=0)
        assert holder.chat.completions.create(model="up/m", messages=HELLO).id
        stranger = OpenAI(base_url=f"{server.url}/v1", api_key="sk-wrong", max_retries=0)
        with pytest.raises(openai.AuthenticationError):
            stranger.chat.completions.create(model="up/m", messages=HELLO)
        assert httpx.get(f"{server.url}/v1/health").status_code == 200
        assert httpx.get(f"{server.url}/metrics").status_code == 401
        assert made["key"] not in server.said


def test_every_port_wants_a_key(tmp_path: Path, config_file: ConfigFile) -> None:
    """Also those that the embedded model's process might open beside the server's own."""
    made = new_key()
    auth = {"provider_config": {"type": "api_keys", "keys": [{"id": "ada", "hash": made["hash"]}]}}
    embedded = {"inference": [{"provider_id": "llama-cpp", "provider_type": "inline::llama-cpp"}]}
    path = config_file({}, server={"auth": auth}, providers=embedded)
    with running(path, "--port", "0", home=tmp_path) as server:
        holder = OpenAI(base_url=f"{server.url}/v1", api_key=made["key"], max_retries=0)
        assert holder.chat.completions.create(model=CHAT_MODEL, messages=HELLO, max_tokens=1).id
        processes = {server.process.pid, *children(server.process.pid)}
        assert len(processes) > 1, "the model has a process of its own"
        ports = [port for pid in processes for port in listening_ports(pid)]
        assert [httpx.get(f"http://127.0.0.1:{port}/v1/models").status_code for port in ports] == [401]
