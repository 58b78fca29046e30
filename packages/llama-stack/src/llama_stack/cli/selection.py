"""`--providers inference=ollama,inference=openai`: a run config from a list of provider types."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llama_stack.cli.failure import USAGE, Failure
from llama_stack.config.apis import PROVIDER_APIS
from llama_stack.config.paths import distribution_dir
from llama_stack.routing.catalog import Catalog
from llama_stack.routing.errors import ProviderTypeUnknown
from llama_stack_api.api import Api
from llama_stack_api.provider import Descriptor

NAME = "providers-run"


def chosen_providers(spec: str, catalog: Catalog) -> list[Descriptor]:
    """The types of `api=type,api=type`; a type may go without its `inline::` or `remote::`."""
    return [_find(api, type_, catalog) for api, type_ in _pairs(spec)]


def config_file(descriptors: list[Descriptor], environ: Mapping[str, str]) -> Path:
    """Write a run config with each provider's sample settings, and give its path. Keys stay `${env…}` references."""
    import yaml

    directory = distribution_dir(NAME, environ)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "config.yaml"
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(yaml.safe_dump(_config(descriptors), sort_keys=False), encoding="utf-8")
    part.replace(path)
    return path


def _config(descriptors: list[Descriptor]) -> dict[str, Any]:
    providers: dict[str, list[dict[str, Any]]] = {}
    for descriptor in descriptors:
        entry = {"provider_id": descriptor.name, "provider_type": descriptor.type, "config": dict(descriptor.sample)}
        providers.setdefault(str(descriptor.api), []).append(entry)
    return {"version": 2, "distro_name": NAME, "apis": list(providers), "providers": providers}


def _pairs(spec: str) -> Iterator[tuple[Api, str]]:
    for pair in filter(None, (part.strip() for part in spec.split(","))):
        api, separator, type_ = (part.strip() for part in pair.partition("="))
        if not separator or not type_:
            remedy = "Write for example inference=ollama"
            raise Failure(f"--providers: {pair!r} is not API=PROVIDER", remedy, exit_code=USAGE)
        if api not in PROVIDER_APIS:
            raise Failure(
                f"--providers: there is no API {api!r} with providers",
                f"There are {', '.join(PROVIDER_APIS)}",
                exit_code=USAGE,
            )
        yield Api(api), type_


def _find(api: Api, type_: str, catalog: Catalog) -> Descriptor:
    full = [type_] if "::" in type_ else [f"remote::{type_}", f"inline::{type_}"]
    for candidate in full:
        try:
            return catalog.find(api, candidate)
        except ProviderTypeUnknown as error:
            last = error
    raise Failure(
        f"--providers: {str(last).partition(': ')[2]}", f"`llama stack list-providers {api}` shows all", exit_code=USAGE
    ) from None
