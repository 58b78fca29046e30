"""A distribution's own environment: its lock and wheels, and nothing else: no pip, no bytecode before it is used."""

from __future__ import annotations

import shutil
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path

from llama_stack.cli.building.pip import Pip
from llama_stack.cli.failure import Failure
from llama_stack.cli.own_environment import VENV, command_of


def install(directory: Path, lock: Path, wheels: Sequence[Path], pip: Pip) -> None:
    """Make `directory`/venv anew; it is removed again when that fails."""
    place = directory / VENV
    shutil.rmtree(place, ignore_errors=True)
    try:
        venv.EnvBuilder(with_pip=False, symlinks=True).create(place)
        python = place / "bin" / "python"
        flags = ("--no-compile", "--no-deps")
        pip.install(*flags, "--require-hashes", "-r", str(lock), into=python)
        pip.install(*flags, *map(str, wheels), into=python)
        _check(command_of(directory))
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def _check(command: Path) -> None:
    """Whether it starts at all: a wheel for another system would be told here, and not by the first request."""
    done = subprocess.run([command, "stack", "list-apis"], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise Failure(f"the environment was made, but its `llama` does not start:\n{done.stderr.strip()[-2000:]}")
