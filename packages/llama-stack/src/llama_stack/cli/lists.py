"""`list-apis`, `list-providers`: what can be run and configured."""

from __future__ import annotations

import json
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llama_stack.cli.tables import table

if TYPE_CHECKING:
    from llama_stack_api.provider import Descriptor

_DESCRIPTION_CHARS_MAX = 90

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def list_apis(as_json: AsJson = False) -> None:
    """List the APIs that a run config may name under `apis` and `providers`."""
    from llama_stack.config.apis import PROVIDER_APIS, SERVICE_APIS

    rows = [(api, "providers") for api in PROVIDER_APIS] + [(api, "the server itself") for api in SERVICE_APIS]
    if as_json:
        print(json.dumps([{"api": api, "implemented_by": by} for api, by in rows], indent=2))
    else:
        print(table(("API", "IMPLEMENTED BY"), rows))


def list_providers(
    api: Annotated[str | None, typer.Argument(metavar="API", help="Only providers of this API.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the provider types that can be configured, installed packages included."""
    from llama_stack.cli.building.run_configs import first_sentence
    from llama_stack.cli.selection import known_api
    from llama_stack.routing.catalog import Catalog

    found = Catalog().all(known_api(api) if api else None)
    if as_json:
        print(json.dumps([_as_data(descriptor) for descriptor in found], indent=2))
        return
    if not found:
        print(f"No provider of {api or 'any API'} is installed.")
        return
    rows = [
        (
            d.api,
            d.type,
            d.turned_on_by or "",
            shorten(first_sentence(d.description), _DESCRIPTION_CHARS_MAX, placeholder=" …"),
        )
        for d in found
    ]
    print(table(("API", "TYPE", "TURNED ON BY", "DESCRIPTION"), rows))


def _as_data(descriptor: Descriptor) -> dict[str, Any]:
    return {
        "api": descriptor.api,
        "type": descriptor.type,
        "description": descriptor.description,
        "turned_on_by": descriptor.turned_on_by,
        "pip_packages": list(descriptor.pip_packages),
        "pip_weights": list(descriptor.pip_weights),
        "sample": dict(descriptor.sample),
        "config_schema": descriptor.config.model_json_schema(),
        "module": descriptor.module,
    }
