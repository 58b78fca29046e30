"""`--providers inference=ollama,remote::openai vector_io=sqlite-vec`: a run config from provider types.

Providers of one API are separated by commas, APIs by spaces, by repeating the option, or (as it always was) by commas.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

from llama_stack.cli.failure import USAGE, Failure
from llama_stack.config.apis import PROVIDER_APIS
from llama_stack.config.paths import distribution_dir
from llama_stack.routing.catalog import Catalog
from llama_stack.routing.errors import ProviderTypeUnknown
from llama_stack_api.api import Api
from llama_stack_api.provider import Descriptor

NAME = "providers-run"


def chosen_providers(spec: str | Iterable[str], catalog: Catalog) -> list[Descriptor]:
    """The types of one or more specs, each once, in their order; a type may go without its `inline::` or `remote::`."""
    specs = [spec] if isinstance(spec, str) else spec
    found = [_find(api, type_, catalog) for part in specs for api, type_ in _pairs(part)]
    return list({(descriptor.api, descriptor.type): descriptor for descriptor in found}.values())


def config_file(descriptors: list[Descriptor], catalog: Catalog, environ: Mapping[str, str]) -> Path:
    """Write the run config of these providers, and give its path. Keys stay `${env…}` references."""
    from llama_stack.cli.recipes.chosen import chosen_config
    from llama_stack.cli.recipes.recipe import Storage

    text = chosen_config(NAME, descriptors, Storage.SQLITE, catalog)
    directory = distribution_dir(NAME, environ)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "config.yaml"
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
    return path


def _pairs(spec: str) -> Iterator[tuple[Api, str]]:
    api = ""
    for part in re.sub(r"\s*=\s*", "=", spec).replace(",", " ").split():
        named, separator, rest = part.partition("=")
        api, type_ = (named, rest) if separator else (api, part)
        if not api or not type_:
            remedy = "Write for example inference=ollama,openai"
            raise Failure(f"--providers: {part!r} is not API=PROVIDER", remedy, exit_code=USAGE)
        yield known_api(api), type_


def known_api(name: str) -> Api:
    """`Failure` if it is not an API with providers."""
    if name in PROVIDER_APIS:
        return Api(name)
    close = get_close_matches(name, PROVIDER_APIS, n=1)
    remedy = f"Did you mean {close[0]!r}?" if close else f"APIs with providers: {', '.join(PROVIDER_APIS)}"
    raise Failure(f"there is no API {name!r} with providers", remedy, exit_code=USAGE)


def _find(api: Api, type_: str, catalog: Catalog) -> Descriptor:
    full = [type_] if "::" in type_ else [f"remote::{type_}", f"inline::{type_}"]
    for candidate in full:
        with suppress(ProviderTypeUnknown):
            return catalog.find(api, candidate)
    known = [descriptor.type for descriptor in catalog.all(api)]
    names = known if "::" in type_ else [each.partition("::")[2] for each in known]
    close = get_close_matches(type_, names, n=2)
    hint = f"Did you mean {' or '.join(close)}? " if close else ""
    remedy = f"{hint}`llama stack list-providers {api}` shows all"
    raise Failure(f"--providers: {api} has no provider type {type_!r}", remedy, exit_code=USAGE)
