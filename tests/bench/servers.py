"""Processes under measurement: started, pinned to a core, their CPU time and memory read from the system."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
START_TIMEOUT_S = 60.0
CORES = sorted(os.sched_getaffinity(0))
"""The measured server has the first core for itself; upstream and load share the last."""

CONFIG = """\
version: 2
distro_name: bench
providers:
  inference:
  - provider_id: up
    provider_type: remote::vllm
    config: {{base_url: "http://127.0.0.1:{upstream}/v1"}}
  - provider_id: chat
    provider_type: remote::openai
    config: {{base_url: "http://127.0.0.1:{upstream}/v1", api_key: none}}
storage:
  backends:
    kv_default: {{type: kv_sqlite, db_path: "{state}/kv.db"}}
    sql_default: {{type: sql_sqlite, db_path: "{state}/sql.db"}}
server: {{port: {port}}}
"""


@dataclass(frozen=True, slots=True)
class Server:
    name: str
    pid: int
    port: int
    started_in_s: float
    state: Path | None = None
    """Where it keeps its databases."""

    def cpu_s(self) -> float:
        """User and system time of the process and of the children that it has, or had."""
        return sum(_cpu_s(pid) for pid in [self.pid, *_children(self.pid)])

    def memory_mb(self) -> float:
        """Resident set, without children."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE") / 1e6

    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS_PER_S


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def upstream() -> Iterator[int]:
    """The canned provider; yields its port."""
    command = [sys.executable, "-m", "tests.bench.upstream"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    os.sched_setaffinity(process.pid, {CORES[-1]})
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        _end(process)


@contextmanager
def reference(name: str, upstream_port: int) -> Iterator[Server]:
    """`bare` or `fastapi_httpx`, under uvicorn with the same settings as ours."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "uvicorn", "--factory", f"tests.bench.references:{name}", "--port", str(port)),
        *("--no-access-log", "--log-level", "warning", "--loop", "uvloop", "--http", "httptools"),
    ]
    with _running(name, command, port, {"BENCH_UPSTREAM": f"http://127.0.0.1:{upstream_port}"}) as server:
        yield server


@contextmanager
def llama_stack(upstream_port: int, config: str = CONFIG, state: Path | None = None) -> Iterator[Server]:
    """This server, started as a user would, with one remote provider; with the state that it has, or none."""
    port = free_port()
    with nullcontext(state) if state else tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "run.yaml"
        path.write_text(config.format(upstream=upstream_port, state=directory, port=port))
        command = [str(Path(sys.executable).with_name("llama")), "stack", "run", str(path)]
        with _running("llama-stack", command, port, {"LLAMA_STACK_CONFIG_DIR": str(directory)}) as server:
            yield replace(server, state=Path(directory))


@contextmanager
def _running(name: str, command: list[str], port: int, env: Mapping[str, str]) -> Iterator[Server]:
    # An installed server has its byte code: else a start would compile what was edited since, each time anew.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    with tempfile.TemporaryFile() as log:  # of requests too, a line each: not between the tables
        process = subprocess.Popen(command, env={**inherited, **env}, stdout=subprocess.DEVNULL, stderr=log)
        os.sched_setaffinity(process.pid, {CORES[0]})
        try:
            _wait_for_answer(process, port, log)
            yield Server(name, process.pid, port, time.perf_counter() - started)
        finally:
            _end(process)


def _wait_for_answer(process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    """Until any HTTP reply comes: that is when the first client would be served."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
                sock.sendall(b"GET /v1/health HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")
                if sock.recv(16).startswith(b"HTTP/1.1"):
                    return
        except OSError:
            time.sleep(0.005)
    log.seek(0)
    said = log.read().decode(errors="replace")[-2000:]
    raise RuntimeError(f"no answer on port {port}: the server ended with {process.poll()} and said:\n{said}")


def _end(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def pin_self() -> None:
    """The load shares the last core with the upstream, so that the measured server has one for itself."""
    os.sched_setaffinity(0, {CORES[-1]})
