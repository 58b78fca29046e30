"""`llama stack worker` in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from tests.support.running import START_S, STOP_S, environment

COMMAND = [sys.executable, "-c", "from llama_stack.cli.main import main; main()", "stack", "worker"]


class Worker:
    def __init__(self, config: Path, home: Path, environ: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, str(config)],
            env=environment(home, environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said = ""
        self._working = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_working(self) -> None:
        self._working.wait(START_S)
        assert '"working"' in self.said, self.said

    def wait_ended(self) -> int:
        code = self.process.wait(STOP_S)
        self._reader.join(STOP_S)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self.said += line
                if '"working"' in line:
                    self._working.set()
        self._working.set()
