"""pip, as this machine has it configured: its index, its certificates, its cache."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from llama_stack.cli.failure import Failure

_SAID_LINES_MAX = 12
_NOISE = ("WARNING: Location ", "WARNING: Running pip as")
_NO_INDEX = (
    "No matching distribution found",
    "Could not find a version that satisfies",
    "Connection",
    "Temporary failure in name resolution",
    "Could not fetch URL",
)


class NoIndex(Failure):
    """pip was refused by its index, found none, or found nothing of that name there."""


class Pip:
    """`python` is the interpreter whose pip is used; it may work on another's environment."""

    def __init__(self, python: Path) -> None:
        self._python = python

    def install(self, *arguments: str, into: Path | None = None) -> None:
        """`pip install …`. Raises `NoIndex`, or `Failure` with what pip said."""
        self._run(["--python", str(into)] if into is not None else [], "install", arguments)

    def wheel(self, source: Path, directory: Path, *, isolated: bool) -> None:
        """Build the wheel of a source directory; `isolated` fetches what builds it."""
        here = [] if isolated else ["--no-build-isolation"]
        self._run([], "wheel", ["--no-deps", *here, "--wheel-dir", str(directory), str(source)])

    def _run(self, target: Sequence[str], verb: str, arguments: Sequence[str]) -> None:
        quiet = ["--quiet", "--no-input", "--disable-pip-version-check"]
        command = [str(self._python), "-m", "pip", *target, verb, *quiet, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
        if done.returncode:
            raise _failure(done.stderr or done.stdout)


@contextmanager
def usable_pip() -> Iterator[Pip]:
    """The pip of this Python; where it has none (as in an environment of ours), one in a directory that goes again."""
    if importlib.util.find_spec("pip") is not None:
        yield Pip(Path(sys.executable))
        return
    with tempfile.TemporaryDirectory(prefix="llama-stack-pip-") as directory:
        try:
            venv.EnvBuilder(with_pip=True, symlinks=True).create(directory)
        except (subprocess.CalledProcessError, OSError):
            raise Failure(
                "this Python has no pip, and none could be made for it",
                "Install pip, or on Debian and Ubuntu the package python3-venv",
            ) from None
        yield Pip(Path(directory) / "bin" / "python")


def _failure(said: str) -> Failure:
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith(_NOISE)]
    text = "\n".join(f"  {line}" for line in lines[-_SAID_LINES_MAX:])
    if any(sign in said for sign in _NO_INDEX):
        return NoIndex(
            f"pip did not get what is needed:\n{text}",
            "Does pip reach its index? `pip config list` shows which one; PIP_INDEX_URL names another",
        )
    return Failure(f"pip could not install:\n{text}")
