"""The distributions of this machine: those that come along, and those below `~/.llama/distributions`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from llama_stack.cli.building.run_configs import first_sentence, written
from llama_stack.cli.failure import USAGE, Failure
from llama_stack.cli.own_environment import RECORD, command_of
from llama_stack.cli.recipes.recipe import load_recipe, packaged_recipes
from llama_stack.config.locate import distributions_dir, own_distributions, packaged_distributions

CONFIG, VARIABLES, LOCK, WHEELS = "config.yaml", "env", "requirements.lock", "wheels"
CONTAINERFILE, COMPOSE = "Containerfile", "compose.yaml"
BUILT_FILES = (CONFIG, VARIABLES, LOCK, WHEELS, CONTAINERFILE, COMPOSE, RECORD)
"""What a build writes; state that a server keeps in the same directory has other names."""


@dataclass(frozen=True, slots=True)
class Record:
    """`build.json`: what marks a directory as built, and says of what."""

    name: str
    version: str
    made_from: str
    python: str
    platform: str
    packages: int

    def text(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


@dataclass(frozen=True, slots=True)
class Distribution:
    """`origin`: packaged, built, or yours (a config that was written by hand). `directory` None: it has none of its
    own. `record` None: nothing was built."""

    name: str
    origin: str
    path: Path
    directory: Path | None = None
    record: Record | None = None

    def description(self) -> str:
        """One sentence: that of the recipe, or the comment on top of the config; `ConfigError` if that is no YAML."""
        recipes = packaged_recipes()
        if self.origin == "packaged" and self.name in recipes:
            return first_sentence(load_recipe(recipes[self.name]).description)
        return written(self.path, self.path.read_text(encoding="utf-8")).description

    @property
    def command(self) -> Path | None:
        """The `llama` of its own environment."""
        if self.record is None or self.directory is None or not command_of(self.directory).is_file():
            return None
        return command_of(self.directory)


def distributions(environ: Mapping[str, str]) -> Iterator[Distribution]:
    """Those that `llama stack run NAME` finds."""
    packaged = packaged_distributions()
    for name, path in packaged.items():
        yield Distribution(name, "packaged", path)
    for name, path in own_distributions(environ).items():
        if name not in packaged:
            record = read_record(path.parent)
            yield Distribution(name, "built" if record else "yours", path, path.parent, record)


def find(name: str, environ: Mapping[str, str]) -> Distribution:
    """`Failure` with the nearest names if there is none."""
    known = {distribution.name: distribution for distribution in distributions(environ)}
    if name in known:
        return known[name]
    close = get_close_matches(name, known)
    remedy = f"Did you mean {' or '.join(close)}?" if close else f"There are {', '.join(sorted(known))}"
    raise Failure(f"there is no distribution {name!r}", remedy, exit_code=USAGE)


def read_record(directory: Path) -> Record | None:
    """None where nothing was built, or what stands there is not of ours."""
    try:
        data: Any = json.loads((directory / RECORD).read_text(encoding="utf-8"))
        return Record(**data)
    except (OSError, ValueError, TypeError):
        return None


def remove(distribution: Distribution, environ: Mapping[str, str]) -> None:
    """Remove the directory with all that is in it; a packaged one, or what lies elsewhere, is refused."""
    directory = distribution.directory
    if directory is None:
        raise Failure(f"{distribution.name} comes with the server and cannot be removed", exit_code=USAGE)
    if directory.parent != distributions_dir(environ):
        raise Failure(f"{directory} is not below {distributions_dir(environ)}; remove it yourself")
    if directory.is_symlink():
        directory.unlink()  # what it points to is somebody else's
    else:
        shutil.rmtree(directory)
