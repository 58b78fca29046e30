"""The run config of a recipe, as YAML for people: comments where the recipe has them, one order for all."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from llama_stack.cli.recipes.recipe import Entry, Recipe, Rest, merged
from llama_stack.cli.recipes.stores import STORAGE
from llama_stack.config.apis import PROVIDER_APIS
from llama_stack.routing.catalog import Catalog
from llama_stack_api.api import Api
from llama_stack_api.provider import Descriptor

_FIRST = ("apis",)
_WIDTH = 120
_QUOTED_REFERENCE = re.compile(r"'([^'\s#]*\$\{env\.[^'\s#]*\}[^'\s#]*)'")


def render(recipe: Recipe, catalog: Catalog) -> str:
    """The run config as text.

    Raises `ProviderTypeUnknown` for a type that the catalog has not, `ValueError` for two providers of one id.
    """
    parts = [
        "".join(_comment(recipe.description)),
        f"version: 2\ndistro_name: {recipe.name}\n",
        _section({key: recipe.config[key] for key in _FIRST if key in recipe.config}, recipe.comments),
        "providers:\n" if recipe.providers else "providers: {}\n",
        *(_api(Api(api), recipe.providers[Api(api)], catalog) for api in PROVIDER_APIS if api in recipe.providers),
        STORAGE[recipe.storage].format(name=recipe.name),
        _section({key: value for key, value in recipe.config.items() if key not in _FIRST}, recipe.comments),
    ]
    return "".join(parts)


def _api(api: Api, items: Sequence[Entry | Rest], catalog: Catalog) -> str:
    lines = [f"  {api}:\n"]
    ids: set[str] = set()
    for position, item in enumerate(items):
        if item.comment:
            lines += ["\n"] * bool(position) + list(_comment(item.comment, "  "))
        for entry in _entries(api, items, item, catalog):
            provider_id = entry["provider_id"]
            if provider_id in ids:
                raise ValueError(f"providers.{api}: two providers would have the id {provider_id!r}")
            ids.add(provider_id)
            lines += [f"  {line}\n" for line in plain_yaml([entry]).splitlines()]
    return "".join(lines)


def _entries(api: Api, items: Sequence[Entry | Rest], item: Entry | Rest, catalog: Catalog) -> Iterator[dict[str, Any]]:
    if isinstance(item, Entry):
        yield _entry(item, catalog.find(api, item.type))
        return
    named = {catalog.find(api, other.type).type for other in items if isinstance(other, Entry)}
    for descriptor in catalog.all(api):
        is_kind = descriptor.is_remote == (item.rest == "remote")
        if is_kind and descriptor.turned_on_by is not None and descriptor.type not in named:
            yield _entry(Entry(type=descriptor.type, when=descriptor.turned_on_by), descriptor)


def _entry(item: Entry, descriptor: Descriptor) -> dict[str, Any]:
    provider_id = item.id or descriptor.name
    entry: dict[str, Any] = {
        "provider_id": f"${{env.{item.when}:+{provider_id}}}" if item.when else provider_id,
        "provider_type": item.type,
    }
    config = merged(descriptor.sample, item.config)
    return {**entry, "config": config} if config else entry


def _section(section: Mapping[str, Any], comments: Mapping[str, str], path: str = "", indent: str = "") -> str:
    """Maps in block style, with the comments of their keys; whatever else as plain YAML."""
    lines: list[str] = []
    for key, value in section.items():
        here = f"{path}.{key}" if path else str(key)
        lines += _comment(comments.get(here, ""), indent)
        if isinstance(value, Mapping) and value:
            lines += [f"{indent}{key}:\n", _section(value, comments, here, f"{indent}  ")]
        else:
            lines += [f"{indent}{line}\n" for line in plain_yaml({key: value}).splitlines()]
    return "".join(lines)


def plain_yaml(value: Any) -> str:
    """YAML with `${env…}` unquoted, as people write it."""
    return _QUOTED_REFERENCE.sub(r"\1", yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=_WIDTH * 10))


def _comment(text: str, indent: str = "") -> Iterator[str]:
    for line in text.strip().splitlines():
        for piece in textwrap.wrap(line, _WIDTH - len(indent) - 2):
            yield f"{indent}# {piece}\n"
