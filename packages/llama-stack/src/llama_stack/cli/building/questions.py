"""The questions of `llama stack build` on a terminal: which APIs, which providers, where state is kept, which name."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from shutil import get_terminal_size
from textwrap import shorten
from typing import TypeVar

import typer

from llama_stack.cli.failure import Failure
from llama_stack.cli.recipes.recipe import Entry, Storage, load_recipe, packaged_recipes
from llama_stack.routing.catalog import Catalog
from llama_stack_api.api import Api
from llama_stack_api.provider import Descriptor

T = TypeVar("T", bound=str)

_DESCRIPTION_CHARS_MIN = 20
_APIS = {
    Api.inference: "models: chat, embeddings, rerank",
    Api.vector_io: "vector stores",
    Api.files: "uploaded files",
    Api.file_processors: "text out of files, for vector stores",
    Api.safety: "shields and moderation",
    Api.tool_runtime: "web search, file search, MCP",
}
_STORAGES = {
    Storage.SQLITE: "files of this machine; one server process",
    Storage.POSTGRES: "a PostgreSQL; any number of processes",
    Storage.POSTGRES_REDIS: "a PostgreSQL, and a Redis for what processes share",
}


@dataclass(frozen=True, slots=True)
class Answers:
    name: str
    providers: list[Descriptor]
    storage: Storage


def ask(
    catalog: Catalog,
    name: str | None = None,
    storage: Storage | None = None,
    check_name: Callable[[str], object] = lambda name: None,
) -> Answers:
    """What is given is not asked for. Answers that make no sense, and names that `check_name` refuses with a
    `Failure`, are asked for again."""
    usual = _of_the_starter()
    chosen: list[Descriptor] = []
    while not chosen:
        for api in _several("Which APIs?", list(_APIS), list(_APIS.values()), list(_APIS)[:1]):
            known = catalog.all(api)
            types = [descriptor.type for descriptor in known]
            default = [type_ for type_ in types if type_ in usual]
            picked = _several(f"Which providers of {api}?", types, [d.description for d in known], default)
            chosen += [descriptor for descriptor in known if descriptor.type in picked]
    if storage is None:
        stores = list(_STORAGES)
        (storage,) = _several("Where is state kept?", stores, list(_STORAGES.values()), stores[:1], at_most=1)
    return Answers(name or _name(check_name), chosen, storage)


def _of_the_starter() -> set[str]:
    """What is always on there is what Enter takes."""
    entries = load_recipe(packaged_recipes()["starter"]).providers.values()
    return {entry.type for items in entries for entry in items if isinstance(entry, Entry) and entry.when is None}


def _name(check: Callable[[str], object]) -> str:
    while True:
        name: str = typer.prompt("\nWhich name shall it have?", err=True).strip()
        try:
            check(name)
        except Failure as failure:
            typer.echo(". ".join(filter(None, (failure.what, failure.remedy))) + ".", err=True)
        else:
            return name


def _several(
    question: str, values: Sequence[T], about: Sequence[str], default: Sequence[T], at_most: int | None = None
) -> list[T]:
    width = max(map(len, values))
    room = max(get_terminal_size().columns - width - len("  00    "), _DESCRIPTION_CHARS_MIN)
    typer.echo(f"\n{question}", err=True)
    for number, (value, text) in enumerate(zip(values, about, strict=True), 1):
        typer.echo(f"  {number:>2}  {value.ljust(width)}  {shorten(text, room, placeholder=' …')}", err=True)
    what = "A number or a name" if at_most == 1 else "Numbers or names, with spaces between"
    usual = " ".join(str(values.index(value) + 1) for value in default) or "1"
    while True:
        found = _picked(typer.prompt(what, default=usual, err=True), values)
        if found and (at_most is None or len(found) <= at_most):
            return found
        typer.echo(f"Please give numbers from 1 to {len(values)}, or names.", err=True)


def _picked(answer: str, values: Sequence[T]) -> list[T]:
    """Empty if a word is neither a number nor a name of the list. Without its prefix a name is that of the remote
    provider first, as with --providers."""
    found: list[T] = []
    for word in filter(None, re.split(r"[\s,]+", answer)):
        if word.isdecimal():
            named = [values[int(word) - 1]] if 0 < int(word) <= len(values) else []
        else:
            names = (word, f"remote::{word}", f"inline::{word}")
            named = [value for name in names for value in values if value == name][:1]
        if not named:
            return []
        found += named
    return list(dict.fromkeys(found))
