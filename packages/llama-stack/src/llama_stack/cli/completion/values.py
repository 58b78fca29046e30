"""What can stand for an argument or an option: names of distributions, APIs, provider types, tools.

Nothing of the server is imported, or a tab would be slow: the types of providers are read off their files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from textwrap import shorten

from llama_stack.cli.completion import FILES

Candidate = tuple[str, str]
"""A value, and what it is."""

_TYPE = re.compile(r'^\s*type="((?:inline|remote)::[\w-]+)"', re.MULTILINE)
_DESCRIPTION = re.compile(r'\s*description="([^"]*)')
_DESCRIPTION_CHARS_MAX = 72
_DISTRIBUTION_NAMES = {"DISTRO|FILE", "[DISTRO|FILE]", "DISTRO", "NAME", "[NAME]"}
_SPEC = "API=PROVIDER"


def values_for(name: str, metavar: str, incomplete: str, environ: Mapping[str, str]) -> Iterator[Candidate]:
    """Candidates for a parameter by its name and by how the help calls its value."""
    if _SPEC in metavar or metavar == "SPEC":
        yield from _selection(incomplete)
    elif name == "api":
        yield from ((api, "API") for api in _apis())
    elif name == "tool":
        yield from _tools()
    elif metavar.upper() in _DISTRIBUTION_NAMES or name == "template":
        yield from distributions(environ)
        if "FILE" in metavar:
            yield FILES, ""
    elif metavar.upper() in ("FILE", "PATH", "DIRECTORY"):
        yield FILES, ""


def distributions(environ: Mapping[str, str]) -> Iterator[Candidate]:
    from llama_stack.config.locate import own_distributions, packaged_distributions

    packaged = packaged_distributions()
    yield from ((name, "comes along") for name in packaged)
    yield from ((name, "yours") for name in own_distributions(environ) if name not in packaged)


def provider_types(api: str) -> Iterator[Candidate]:
    """The types of an API that come along."""
    folder = Path(str(files("llama_stack"))) / "providers" / api
    for path in sorted(folder.glob("*.py")) if folder.is_dir() else []:
        text = path.read_text(encoding="utf-8")
        for match in _TYPE.finditer(text):
            about = _DESCRIPTION.search(text, match.end(), match.end() + 200)
            yield match[1], shorten(about[1], _DESCRIPTION_CHARS_MAX, placeholder="…") if about else ""


def _selection(incomplete: str) -> Iterator[Candidate]:
    """The last of `api=type,api=type`, with what stands before it."""
    before, comma, last = incomplete.rpartition(",")
    api, equals, type_begun = last.partition("=")
    head = before + comma
    if not equals:
        yield from ((f"{head}{each}=", "API") for each in _apis())
        return
    for type_, about in provider_types(api):
        yield f"{head}{api}={type_}", about
        if type_begun:  # the prefix may be left out; whoever has typed nothing sees each type once
            yield f"{head}{api}={type_.partition('::')[2]}", about


def _apis() -> tuple[str, ...]:
    from llama_stack.config.apis import PROVIDER_APIS

    return tuple(PROVIDER_APIS)


def _tools() -> Iterator[Candidate]:
    from llama_stack.cli.connect.tools import known_tools

    yield from ((tool.name, tool.title) for tool in known_tools())
