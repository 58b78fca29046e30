"""Distributions that are really built: by `llama stack build`, into a fresh directory, with a fresh environment.

What is installed comes from the index that this machine's pip is configured for, through its cache.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.running import RunningServer, running

LLAMA = [sys.executable, "-c", "from llama_stack.cli.main import main; main()"]
BUILD_S = 300.0
_NO_INDEX = "pip did not get what is needed"


class BuiltHere:
    """A home directory with the distribution NAME below its `.llama`."""

    def __init__(self, home: Path, name: str) -> None:
        self.home = home
        self.name = name
        self.directory = home / ".llama" / "distributions" / name
        self.venv = self.directory / "venv"

    def stack(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`llama stack …` of this environment, with pip's configuration as the developer has it."""
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environ["LLAMA_STACK_CONFIG_DIR"] = str(self.home / ".llama")
        return subprocess.run(
            [*LLAMA, "stack", *arguments], env=environ, capture_output=True, text=True, timeout=BUILD_S, check=False
        )

    @contextmanager
    def run(self, **environ: str) -> Iterator[RunningServer]:
        """`llama stack run NAME` by this environment's `llama`, which hands over to the distribution's own."""
        with running(self.name, "--port", "0", home=self.home, environ=environ) as server:
            yield server

    def python(self, code: str) -> str:
        """What `code` prints in the distribution's environment."""
        done = subprocess.run([self.venv / "bin" / "python", "-c", code], capture_output=True, text=True, check=True)
        return done.stdout.strip()


Build = Callable[..., BuiltHere]


@pytest.fixture
def build(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Build:
    """Builds a distribution with its environment; without an index, the test is skipped and says so."""

    def build(name: str, *arguments: str) -> BuiltHere:
        built = BuiltHere(tmp_path, name)
        done = built.stack("build", name, *arguments, "--venv")
        if done.returncode and _NO_INDEX in done.stderr and not _index_answers():
            reason = f"SKIPPED LOUDLY: pip reaches no index on this machine, so nothing can be built\n{done.stderr}"
            with capfd.disabled():
                print(reason, file=sys.stderr)
            pytest.skip(reason)
        assert done.returncode == 0, done.stderr
        return built

    return build


def _index_answers() -> bool:
    """Whether pip gets at least what everybody has."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "pydantic"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
