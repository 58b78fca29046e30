"""The questions of `llama stack build` on a terminal: which APIs, which providers, where state is kept, which name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import TypeVar

import typer

from llama_stack.cli.recipes.recipe import Storage
from llama_stack.routing.catalog import Catalog
from llama_stack_api.api import Api
from llama_stack_api.provider import Descriptor

T = TypeVar("T", bound=str)

_DESCRIPTION_CHARS_MAX = 80
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


def ask(catalog: Catalog, name: str | None = None, storage: Storage | None = None) -> Answers:
    """What is given is not asked for. Answers that make no sense are asked for again."""
    chosen: list[Descriptor] = []
    while not chosen:
        for api in _several("Which APIs?", list(_APIS), list(_APIS.values())):
            known = catalog.all(api)
            lines = [shorten(d.description, _DESCRIPTION_CHARS_MAX, placeholder=" …") for d in known]
            types = _several(f"Which providers of {api}?", [descriptor.type for descriptor in known], lines)
            chosen += [descriptor for descriptor in known if descriptor.type in types]
    if storage is None:
        (storage,) = _several("Where is state kept?", list(_STORAGES), list(_STORAGES.values()), at_most=1)
    return Answers(name or typer.prompt("Which name shall it have?", err=True).strip(), chosen, storage)


def _several(question: str, values: Sequence[T], about: Sequence[str], at_most: int | None = None) -> list[T]:
    width = max(map(len, values))
    typer.echo(f"\n{question}", err=True)
    for number, (value, text) in enumerate(zip(values, about, strict=True), 1):
        typer.echo(f"  {number:>2}  {value.ljust(width)}  {text}", err=True)
    what = "A number" if at_most == 1 else "Numbers, with spaces between"
    while True:
        found = _picked(typer.prompt(what, default="1", err=True), values)
        if found and (at_most is None or len(found) <= at_most):
            return found
        typer.echo(f"Please give numbers from 1 to {len(values)}.", err=True)


def _picked(answer: str, values: Sequence[T]) -> list[T]:
    """Empty if a word is neither a number nor a name of the list."""
    found: list[T] = []
    for word in filter(None, re.split(r"[\s,]+", answer)):
        by_name = [value for value in values if value == word]
        by_number = [values[int(word) - 1]] if word.isdecimal() and 0 < int(word) <= len(values) else []
        if not (by_name or by_number):
            return []
        found += by_name or by_number
    return list(dict.fromkeys(found))
