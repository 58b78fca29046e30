"""`llama stack build`: a distribution of one's own."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llama_stack.cli.failure import USAGE, Failure

if TYPE_CHECKING:
    from llama_stack.cli.building.builder import Built
    from llama_stack.cli.building.plan import Plan
    from llama_stack.routing.catalog import Catalog

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_STORAGES = "sqlite, postgres or postgres+redis"


def build(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The distribution's name.")] = None,
    more: Annotated[
        list[str] | None, typer.Argument(metavar="API=PROVIDER,…", help="Further providers, behind --providers.")
    ] = None,
    template: Annotated[
        str | None, typer.Option(metavar="DISTRO|FILE", help="Start from a distribution or a run config.")
    ] = None,
    providers: Annotated[
        list[str] | None, typer.Option(metavar="API=PROVIDER,…", help="Start from providers; may be repeated.")
    ] = None,
    storage: Annotated[str | None, typer.Option(metavar="KIND", help=f"Where state is kept: {_STORAGES}.")] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The directory; default: ~/.llama/distributions/NAME.", file_okay=False),
    ] = None,
    venv: Annotated[
        bool, typer.Option("--venv", "--install", help="Make its environment, too; of one that is built, only that.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Build anew what was built before; state stays.")] = False,
) -> None:
    """Build a distribution: run config, variables, locked dependencies, wheels, Containerfile and compose file.

    From a template, from providers, or, on a terminal, from answers to a few questions. `llama stack run NAME` runs it.
    """
    from llama_stack.cli.building import builder
    from llama_stack.cli.building.shelf import read_record
    from llama_stack.config.locate import distributions_dir

    name, specs = _split([word for word in (name, *(more or [])) if word], providers or [])
    if venv and name and not (template or specs or storage or replace):
        directory = output.absolute() if output else distributions_dir(os.environ) / name
        if read_record(directory) is not None:
            _report(name, builder.install(builder.built_before(directory), _tell), output)
            return
    plan = _plan(name, specs, template, storage, partial(_free, output=output, replace=replace))
    directory = builder.target(plan.name, output, os.environ, replace=replace)
    for warning in plan.warnings:
        typer.echo(f"Warning: {warning}", err=True)
    _report(plan.name, builder.build(plan, directory, with_environment=venv, tell=_tell), output)


def _split(words: list[str], providers: list[str]) -> tuple[str | None, list[str]]:
    """NAME and specs: `build mine --providers inference=a vector_io=b` leaves the second spec among the arguments."""
    names = [word for word in words if "=" not in word]
    if len(names) > 1:
        raise Failure(f"one name, please: {' or '.join(names)}?", exit_code=USAGE)
    if names and not _NAME.fullmatch(names[0]):
        raise Failure(
            f"{names[0]!r} is no name for a distribution",
            "Small letters, digits, dots, dashes and underscores; at most 63, the first a letter or digit",
            exit_code=USAGE,
        )
    return (names[0] if names else None), [*providers, *(word for word in words if "=" in word)]


def _plan(
    name: str | None, specs: list[str], template: str | None, storage: str | None, check_name: Callable[[str], None]
) -> Plan:
    from llama_stack.cli.building.plan import from_providers, from_template
    from llama_stack.cli.recipes.recipe import Storage
    from llama_stack.cli.selection import chosen_providers
    from llama_stack.routing.catalog import Catalog

    catalog = Catalog()
    if template and (specs or storage):
        raise Failure("--template excludes --providers and --storage", "Give one of them", exit_code=USAGE)
    if template:
        return from_template(name or _name_of(template), template, os.environ, catalog)
    if storage is not None and storage not in list(Storage):
        raise Failure(f"--storage: {storage!r} is none of {_STORAGES}", exit_code=USAGE)
    if specs:
        chosen = chosen_providers(specs, catalog)
        return from_providers(_given(name), chosen, Storage(storage or Storage.SQLITE), catalog)
    return _asked(name, storage, check_name, catalog)


def _free(name: str, output: Path | None, *, replace: bool) -> None:
    """`Failure` for what is no name, and for one that is taken."""
    from llama_stack.cli.building import builder

    _split([name], [])
    builder.target(name, output, os.environ, replace=replace)


def _asked(name: str | None, storage: str | None, check_name: Callable[[str], None], catalog: Catalog) -> Plan:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Failure(
            "there is nothing to build from, and no terminal to ask on",
            "Give --providers inference=ollama or --template starter",
            exit_code=USAGE,
        )
    from llama_stack.cli.building.plan import from_providers
    from llama_stack.cli.building.questions import ask
    from llama_stack.cli.recipes.recipe import Storage

    answers = ask(catalog, name, Storage(storage) if storage else None, check_name)
    return from_providers(answers.name, answers.providers, answers.storage, catalog)


def _name_of(template: str) -> str:
    """`nvidia` would hide the packaged one, so a copy is `my-nvidia`."""
    stem = Path(template).stem.lower()
    return f"my-{stem}" if _NAME.fullmatch(stem) else "mine"


def _given(name: str | None) -> str:
    if name is None:
        raise Failure("which name shall it have?", "llama stack build NAME --providers …", exit_code=USAGE)
    return name


def _tell(text: str) -> None:
    typer.echo(text, err=True)


def _report(name: str, built: Built, output: Path | None) -> None:
    from llama_stack.cli.building import shelf
    from llama_stack.cli.building.sizes import megabytes
    from llama_stack.cli.own_environment import VENV, command_of
    from llama_stack.cli.tables import table

    rows = [
        (shelf.CONFIG, "the run config"),
        (shelf.VARIABLES, "the environment variables that it reads"),
        (shelf.LOCK, f"{built.packages} packages, each with its hash"),
        (shelf.WHEELS, ", ".join(built.wheels)),
        (f"{shelf.CONTAINERFILE}, {shelf.COMPOSE}", "for an image, and for it with its databases"),
    ]
    if built.environment_bytes is not None:
        rows.append((VENV, f"its environment, {megabytes(built.environment_bytes)}"))
    print(f"Built {name} in {built.directory}")
    print(table(("FILE", "WHAT IT IS"), rows))
    if output is None:
        command = f"llama stack run {name}"
    else:
        llama = command_of(built.directory) if built.environment_bytes is not None else "llama"
        command = f"{llama} stack run {built.directory / shelf.CONFIG}"
    print(f"\nRun it: {command}")
