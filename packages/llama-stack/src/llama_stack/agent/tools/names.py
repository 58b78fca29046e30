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
_SAFE: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{NAME_CHARS_MAX}}}")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]")
_DIGEST_CHARS: Final = 8

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
    names = {key: name for name, key in named.items()}
    return [_renamed(tool, names[key]) for key, tool in firsts.items()]


def model_name(name: str, namespace: str | None = None) -> str:
    """What the model calls a caller's tool: always the same for the same tool, whatever others there are.

    A name that has to be changed for that ends in a digest of what it was, so that no two become one.
    """
    full = name if namespace is None else f"{namespace}__{name}"
    return full if _SAFE.fullmatch(full) else _with_digest(full)


def safe_name(label: str, name: str) -> str:
    """The tool's own name if every provider takes it, else one made of the server's label and the name."""
    return name if _SAFE.fullmatch(name) else _qualified(label, name)


def _qualified(label: str, name: str) -> str:
    full = f"{label}__{name}"
    safe = _UNSAFE.sub("_", full)
    return safe if len(safe) <= NAME_CHARS_MAX else _with_digest(full)


def _with_digest(full: str) -> str:
    digest = hashlib.sha256(full.encode(errors="replace")).hexdigest()[:_DIGEST_CHARS]
    return f"{_UNSAFE.sub('_', full)[: NAME_CHARS_MAX - _DIGEST_CHARS - 1]}_{digest}"


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


def _renamed(tool: BoundTool, name: str) -> BoundTool:
    if name == tool.name:
        return tool
    function = {**tool.definition["function"], "name": name}
    return replace(tool, name=name, definition={**tool.definition, "function": function})
