"""A run config as it is written: with its `${env…}`, so with everything that an environment may turn on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from llama_stack.cli.failure import Failure
from llama_stack.config.apis import PROVIDER_APIS
from llama_stack.config.env import if_set, turned_on_by
from llama_stack.config.lines import parse_yaml
from llama_stack.config.locate import locate
from llama_stack.routing.catalog import Catalog
from llama_stack.routing.errors import RoutingConfigError
from llama_stack_api.api import Api
from llama_stack_api.provider import Descriptor

_NAME_LINE = re.compile(r"^(distro_name|image_name)[ \t]*:.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Entry:
    """`turned_on_by` are the variables whose absence leaves the provider out."""

    api: str
    provider_id: str
    type: str
    module: str | None
    config: Mapping[str, Any]
    turned_on_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WrittenConfig:
    path: Path
    text: str
    data: Mapping[str, Any]

    @property
    def description(self) -> str:
        """The comment on top, as far as it is one sentence."""
        first = self.text.partition("\n")[0]
        return first_sentence(first.removeprefix("#")) if first.startswith("#") else ""

    def entries(self) -> Iterator[Entry]:
        """The providers of those APIs that providers implement."""
        for api, entries in (self.data.get("providers") or {}).items():
            for entry in entries or () if api in PROVIDER_APIS else ():
                yield entry_of(api, entry)

    def backend_types(self) -> set[str]:
        storage = self.data.get("storage") or {}
        return {if_set(str(backend.get("type", ""))) for backend in (storage.get("backends") or {}).values()}

    def descriptors(self, catalog: Catalog) -> tuple[list[Descriptor], list[str]]:
        """Those of the entries, and what is wrong with types that the catalog does not have."""
        found: list[Descriptor] = []
        missing: list[str] = []
        for entry in self.entries():
            try:
                found.append(catalog.find(Api(entry.api), entry.type, entry.module))
            except RoutingConfigError as error:
                missing.append(str(error))
        return found, missing

    def named(self, name: str) -> str:
        """The text under another `distro_name`."""
        if _NAME_LINE.search(self.text):
            return _NAME_LINE.sub(f"distro_name: {name}", self.text, count=1)
        return yaml.safe_dump({"version": 2, "distro_name": name} | dict(self.data), sort_keys=False, width=120)


def read_written(reference: str | Path | None, environ: Mapping[str, str]) -> WrittenConfig:
    """The file that `reference` names (see `config.locate`); `Failure` if it is no run config."""
    path = locate(reference, environ)
    return written(path, path.read_text(encoding="utf-8"))


def written(path: Path, text: str) -> WrittenConfig:
    data = parse_yaml(text).data
    if not isinstance(data, dict) or not isinstance(data.get("providers") or {}, dict):
        raise Failure(f"{path} is no run config: it must be a mapping with `distro_name` and `providers`")
    return WrittenConfig(path, text, data)


def first_sentence(text: str) -> str:
    return " ".join(text.split()).partition(". ")[0].removesuffix(".")


def entry_of(api: str, entry: Any) -> Entry:
    provider_id = str(entry.get("provider_id", ""))
    return Entry(
        api=api,
        provider_id=if_set(provider_id),
        type=if_set(str(entry.get("provider_type", ""))),
        module=entry.get("module"),
        config=entry.get("config") or {},
        turned_on_by=turned_on_by(provider_id),
    )
