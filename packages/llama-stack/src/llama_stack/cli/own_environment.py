"""A distribution that was built with an environment runs in it: `run NAME` becomes that environment's `llama`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from llama_stack.config.locate import distributions_dir, packaged_distributions

RECORD = "build.json"
"""The file that marks a directory as built."""
VENV = "venv"


def command_of(directory: Path) -> Path:
    """The `llama` of the environment below a distribution's directory, whether it is there or not."""
    return directory / VENV / "bin" / "llama"


def own_command(reference: str | None, environ: Mapping[str, str]) -> Path | None:
    """The `llama` of the environment that a distribution was built with, if `reference` names such a one.

    Only a name counts, and only below the distributions directory: no path makes another program run.
    """
    if reference is None or Path(reference).is_file():
        return None
    name = reference.partition("::")[0]
    if name != Path(name).name or name in packaged_distributions():
        return None
    directory = distributions_dir(environ) / name
    command = command_of(directory)
    return command if (directory / RECORD).is_file() and command.is_file() else None


def enter(reference: str | None, environ: Mapping[str, str]) -> None:
    """Replace this process by that `llama`, with the same command line; returns if there is none, or it is this one."""
    command = own_command(reference, environ)
    if command is not None and Path(sys.prefix).resolve() != command.parent.parent.resolve():
        os.execv(command, [str(command), *sys.argv[1:]])  # noqa: S606 - our own program
