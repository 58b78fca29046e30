"""The server that the package chromadb brings."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

START_TIMEOUT_S = 30.0


@contextlib.contextmanager
def chroma_server(directory: Path) -> Iterator[str]:
    """The address where it answers. Its command takes no port 0, so it gets one that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("chroma")), "run", "--path", str(directory), "--host", "127.0.0.1"]
    environ = {**os.environ, "ANONYMIZED_TELEMETRY": "false", "CHROMA_OPEN_TELEMETRY__ENDPOINT": ""}
    with (directory.with_suffix(".log")).open("wb") as log:
        process = subprocess.Popen(
            [*command, "--port", str(port)], stdout=log, stderr=subprocess.STDOUT, env=environ, cwd=directory.parent
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_it_answers(process, url, directory.with_suffix(".log"))
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _wait_until_it_answers(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/api/v2/heartbeat", timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError(f"no Chroma server within {START_TIMEOUT_S} s: {log.read_text()}")
