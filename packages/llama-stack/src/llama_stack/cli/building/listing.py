"""`list`, `show` and `rm`: the distributions that `llama stack run NAME` finds."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llama_stack.cli.failure import USAGE, Failure
from llama_stack.cli.tables import table

if TYPE_CHECKING:
    from llama_stack.cli.building.shelf import Distribution

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def list_distributions(as_json: AsJson = False) -> None:
    """List the distributions that `llama stack run NAME` finds: packaged ones and yours."""
    from llama_stack.cli.building.shelf import distributions

    rows = [_row(distribution) for distribution in distributions(os.environ)]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    heads = ("NAME", "ORIGIN", "ENVIRONMENT", "SIZE", "DESCRIPTION")
    print(table(heads, [_cells(row) for row in rows]))


def show(
    name: Annotated[str, typer.Argument(metavar="DISTRO|FILE", help="A distribution's name, or a run config.")],
    as_json: AsJson = False,
) -> None:
    """Show what a distribution is made of: providers, variables, dependencies, sizes, paths."""
    from llama_stack.cli.building.showing import facts, told

    found = facts(name, os.environ)
    print(json.dumps(found, indent=2) if as_json else told(found))


def remove_distributions(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Which one.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are below the distributions directory.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a distribution of yours: its directory with config, environment and the state that servers kept there."""
    from llama_stack.cli.building.shelf import distributions, find, remove
    from llama_stack.cli.building.sizes import directory_bytes, megabytes

    if (name is None) != every:
        raise Failure("name one distribution, or say --all", "`llama stack list` shows them", exit_code=USAGE)
    found = [find(name, os.environ)] if name else [d for d in distributions(os.environ) if d.directory is not None]
    if name and found[0].directory is None:
        remove(found[0], os.environ)  # which says why not
    if not found:
        print("There is nothing to remove.")
    for distribution in found:
        if distribution.directory is None:
            continue
        size = megabytes(directory_bytes(distribution.directory))
        if _agreed(f"Remove {distribution.directory} ({size}, state included)?", yes):
            remove(distribution, os.environ)
            print(f"Removed {distribution.name}: {size}.")


def _agreed(question: str, yes: bool) -> bool:
    if yes:
        return True
    if not sys.stdin.isatty():
        raise Failure("this removes files, and there is no terminal to ask on", "Say --yes", exit_code=USAGE)
    return typer.confirm(question)


def _row(distribution: Distribution) -> dict[str, Any]:
    from llama_stack.cli.building.sizes import directory_bytes
    from llama_stack.config import ConfigError

    try:
        description = distribution.description()
    except (ConfigError, Failure, OSError):
        description = "cannot be read: `llama stack config check` says why"
    return {
        "name": distribution.name,
        "origin": distribution.origin,
        "environment": str(distribution.command.parent.parent) if distribution.command else None,
        "bytes": directory_bytes(distribution.directory) if distribution.directory else None,
        "description": description,
        "path": str(distribution.path),
    }


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    from llama_stack.cli.building.sizes import megabytes

    size = "" if row["bytes"] is None else megabytes(row["bytes"])
    return row["name"], row["origin"], "its own" if row["environment"] else "", size, row["description"]
