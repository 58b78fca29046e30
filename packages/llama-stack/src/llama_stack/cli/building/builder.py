"""A plan made real: a directory with everything that a distribution needs, complete or not there at all."""

from __future__ import annotations

import shutil
import sysconfig
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from llama_stack.cli.building import containers, environment, wheels
from llama_stack.cli.building.lock import local_packages, lock_text, locked_versions, python_version, resolve
from llama_stack.cli.building.pip import usable_pip
from llama_stack.cli.building.plan import Plan
from llama_stack.cli.building.shelf import (
    BUILT_FILES,
    COMPOSE,
    CONFIG,
    CONTAINERFILE,
    LOCK,
    VARIABLES,
    WHEELS,
    Record,
    read_record,
)
from llama_stack.cli.building.sizes import directory_bytes
from llama_stack.cli.building.variables_file import filled_in, variables_text
from llama_stack.cli.failure import USAGE, Failure
from llama_stack.cli.own_environment import RECORD, VENV
from llama_stack.config.locate import distributions_dir, packaged_distributions

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Built:
    """`environment_bytes` is None where no environment was made."""

    directory: Path
    packages: int
    wheels: tuple[str, ...]
    environment_bytes: int | None = None


def target(name: str, output: Path | None, environ: Mapping[str, str], *, replace: bool) -> Path:
    """The directory to build in. `Failure` for a name that is taken and a directory that holds other things."""
    if output is None and name in packaged_distributions():
        raise Failure(f"{name!r} is a distribution that comes with the server", "Choose another name", exit_code=USAGE)
    directory = distributions_dir(environ) / name if output is None else output.absolute()
    if not directory.exists():
        return directory
    if not directory.is_dir():
        raise Failure(f"{directory} is not a directory", exit_code=USAGE)
    if read_record(directory) is not None:
        if not replace:
            remedy = "--replace builds it anew and keeps its state; `llama stack rm` removes it"
            raise Failure(f"there is a distribution in {directory} already", remedy, exit_code=USAGE)
        return directory
    strangers = sorted(path.name for path in directory.iterdir())
    if strangers:
        raise Failure(
            f"{directory} was not made by `llama stack build` and is not empty: {', '.join(strangers[:5])}",
            "Choose another name, or another directory with --output",
            exit_code=USAGE,
        )
    return directory


def build(plan: Plan, directory: Path, *, with_environment: bool, tell: Tell) -> Built:
    """Resolve, write and, if wanted, install. Until everything is resolved and written, `directory` is not touched."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with usable_pip() as pip, tempfile.TemporaryDirectory(prefix=".build-", dir=directory.parent) as place:
        staged = Path(place)
        (staged / WHEELS).mkdir()
        packed = [wheels.make(package, staged / WHEELS, pip) for package in local_packages(plan.needs)]
        tell("Resolving what its providers need …")
        locked = resolve(plan.needs, packed, pip)
        (staged / LOCK).write_text(lock_text(locked), encoding="utf-8")
        _write_texts(plan, staged, directory, packages=len(locked))
        put_in_place(staged, directory)
        built = Built(directory, len(locked), tuple(wheel.name for wheel in packed))
    return install(built, tell) if with_environment else built


def install(built: Built, tell: Tell) -> Built:
    """Make the environment of what was built."""
    directory = built.directory
    tell(f"Installing {built.packages} packages and {len(built.wheels)} wheels of our own …")
    packed = [directory / WHEELS / name for name in built.wheels]
    with usable_pip() as pip:
        environment.install(directory, directory / LOCK, packed, pip)
    return Built(directory, built.packages, built.wheels, directory_bytes(directory / VENV))


def built_before(directory: Path) -> Built:
    """What an earlier build left."""
    packages = locked_versions((directory / LOCK).read_text(encoding="utf-8"))
    return Built(directory, len(packages), tuple(sorted(path.name for path in (directory / WHEELS).glob("*.whl"))))


def _write_texts(plan: Plan, staged: Path, directory: Path, packages: int) -> None:
    services = containers.services_of(plan.config.backend_types())
    record = Record(
        name=plan.name,
        version=version("llama-stack"),
        made_from=plan.made_from,
        python=python_version(),
        platform=sysconfig.get_platform(),
        packages=packages,
    )
    text = plan.config.text
    texts = {
        CONFIG: text,
        VARIABLES: variables_text(plan.name, str(directory / VARIABLES), text),
        CONTAINERFILE: containers.containerfile(plan.name),
        COMPOSE: containers.compose(plan.name, services),
        RECORD: record.text(),
    }
    for name, content in texts.items():
        (staged / name).write_text(content, encoding="utf-8")


def put_in_place(staged: Path, directory: Path) -> None:
    """Files of an earlier build make room; an environment that no longer fits them goes. The values in `env` stay: they
    are people's, and often secret."""
    directory.mkdir(exist_ok=True)
    variables, former = staged / VARIABLES, directory / VARIABLES
    if former.is_file():
        text = filled_in(variables.read_text(encoding="utf-8"), former.read_text(encoding="utf-8"))
        variables.write_text(text, encoding="utf-8")
    variables.chmod(0o600)
    shutil.rmtree(directory / VENV, ignore_errors=True)
    for name in BUILT_FILES:
        place = directory / name
        if place.is_dir():
            shutil.rmtree(place)
        (staged / name).replace(place)
