"""A server as users start it: `llama stack run …` in a process of its own, with a home directory of its own.

    with running("--port", "0", home=tmp_path) as server:
        OpenAI(base_url=server.url + "/v1", api_key="x")…

It is ready when it says so in its log; a server that ends or says nothing within the deadline fails the test with what
it did say.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_S = 30.0
STOP_S = 15.0

COMMAND = [sys.executable, "-c", "from llama_stack.cli.main import main; main()", "stack", "run"]
_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH")


class RunningServer:
    """`url` without `/v1`; `log` holds the lines so far, parsed where they are JSON."""

    def __init__(self, arguments: tuple[str, ...], environ: Mapping[str, str]) -> None:
        self.url = ""
        self.log: list[Any] = []
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], env=dict(environ), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._ready = threading.Event()
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_ready(self, timeout_s: float = START_S) -> None:
        self._ready.wait(timeout_s)
        if not self.url:
            self.stop(signal.SIGKILL)
            raise AssertionError(f"the server did not start; it said:\n{self.said}")

    def wait_said(self, text: str, timeout_s: float = START_S) -> None:
        """Until `text` stands in the log."""
        with self._news:
            assert self._news.wait_for(lambda: text in self.said, timeout_s), f"{text!r} is not in:\n{self.said}"

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """The exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
        try:
            code = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_S)
            raise AssertionError(f"the server did not stop within {STOP_S} s; it said:\n{self.said}") from None
        self._reader.join(STOP_S)
        return code

    @property
    def said(self) -> str:
        return "\n".join(line if isinstance(line, str) else json.dumps(line) for line in list(self.log))

    def events(self, name: str) -> list[dict[str, Any]]:
        """The structured log lines of one event."""
        return [line for line in list(self.log) if isinstance(line, dict) and line.get("event") == name]

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for text in output:
                line = _parsed(text.rstrip("\n"))
                with self._news:
                    self.log.append(line)
                    self._news.notify_all()
                if isinstance(line, dict) and line.get("event") == "serving":
                    self.url = line["url"]
                    self._ready.set()
        self._ready.set()


def _parsed(text: str) -> Any:
    try:
        return json.loads(text) if text.startswith("{") else text
    except ValueError:
        return text


def environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Nothing of the developer's own: no keys, no config, and no Ollama that happens to run on this machine."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {"HOME": str(home), "OLLAMA_URL": "", "VLLM_URL": ""} | dict(extra or {})


@contextmanager
def running(*arguments: str, home: Path, environ: Mapping[str, str] | None = None) -> Iterator[RunningServer]:
    """A server that is ready; it is stopped at the end, whatever happened."""
    server = RunningServer(arguments, environment(home, environ))
    try:
        server.wait_ready()
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


def refused(*arguments: str, home: Path, environ: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Exit code and output of a server that is not meant to start."""
    done = subprocess.run(
        [*COMMAND, *arguments], env=environment(home, environ), capture_output=True, text=True, timeout=START_S
    )
    return done.returncode, done.stdout + done.stderr
