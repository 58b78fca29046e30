"""The names under which the model calls tools: unique in a response, and such as every provider takes.

The caller's tools come first and keep their names. A tool of a server keeps its own name where that is free, else it is
`<label>__<name>`; whoever comes first in the request keeps the name, so that a server that is added later renames none.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from llama_stack.agent.tools.base import BoundTool

NAME_CHARS_MAX: Final = 64
_SAFE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]")
_HASH_CHARS: Final = 8

Key: TypeAlias = tuple[str, str | None, str]


def key_of(tool: BoundTool) -> Key:
    """What a tool is, whatever it is called: its kind, its namespace or server, and its own name there."""
    if tool.caller is not None:
        return tool.caller.kind, tool.caller.namespace, tool.caller.name
    return tool.runner.kind if tool.runner else "", tool.label, tool.bare_name or tool.name


def distinct(tools: Sequence[BoundTool]) -> list[BoundTool]:
    """The tools in their order, each once and under a name of its own."""
    firsts: dict[Key, BoundTool] = {}
    for tool in tools:
        firsts.setdefault(key_of(tool), tool)
    named: dict[str, Key] = {}
    for key, tool in sorted(firsts.items(), key=lambda item: item[1].caller is None):
        named[_free_name(tool, named)] = key
    return [_renamed(firsts[key], name) for name, key in _in_order(named, list(firsts))]


def safe_name(label: str, name: str) -> str:
    """The tool's own name if every provider takes it, else one made of the server's label and the name."""
    return name if _SAFE.fullmatch(name) else _qualified(label, name)


def _qualified(label: str, name: str) -> str:
    full = f"{label}__{name}"
    safe = _UNSAFE.sub("_", full)
    if len(safe) <= NAME_CHARS_MAX:
        return safe
    digest = hashlib.sha256(full.encode(errors="replace")).hexdigest()[:_HASH_CHARS]
    return f"{safe[: NAME_CHARS_MAX - _HASH_CHARS - 1]}_{digest}"


def _free_name(tool: BoundTool, taken: Collection[str]) -> str:
    return next(name for name in _candidates(tool) if name not in taken)


def _candidates(tool: BoundTool) -> Iterator[str]:
    yield tool.name
    if tool.label is not None:
        yield _qualified(tool.label, tool.bare_name or tool.name)
    number = 2
    while True:
        suffix = f"_{number}"
        yield tool.name[: NAME_CHARS_MAX - len(suffix)] + suffix
        number += 1


def _in_order(named: dict[str, Key], order: Sequence[Key]) -> list[tuple[str, Key]]:
    names = {key: name for name, key in named.items()}
    return [(names[key], key) for key in order]


def _renamed(tool: BoundTool, name: str) -> BoundTool:
    if name == tool.name:
        return tool
    function = {**tool.definition["function"], "name": name}
    return replace(tool, name=name, definition={**tool.definition, "function": function})
