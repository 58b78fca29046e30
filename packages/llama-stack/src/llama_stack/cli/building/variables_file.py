"""`env`: the environment variables of a run config, with what each is for, to be filled in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from llama_stack.cli.recipes.variables import Variable, variables_of
from llama_stack.config.env import REFERENCE

_HEAD = """\
# What the distribution {name} reads from its environment. A start takes it from there, not from this file:
#   set -a; . {path}; set +a; llama stack run {name}
"""


def variables_text(name: str, path: str, config: str, data: Any) -> str:
    """Those that must be set first, then those that have no default, then the rest as comments with their defaults."""
    places = _places(data)
    variables = variables_of(config)
    required = [variable for variable in variables if variable.required]
    empty = [variable for variable in variables if not variable.required and variable.default is None]
    rest = [variable for variable in variables if not variable.required and variable.default is not None]
    parts = [_HEAD.format(name=name, path=path)]
    for title, group in (
        ("Must be set.", required),
        ("Empty unless they are set.", empty),
        ("These have defaults.", rest),
    ):
        if group:
            parts.append(f"\n# {title}\n")
            parts += [_line(variable, places.get(variable.name, ())) for variable in group]
    return "".join(parts)


def _line(variable: Variable, places: Sequence[str]) -> str:
    purpose = ", ".join(dict.fromkeys(places))
    if variable.turns_on:
        purpose = "; ".join(filter(None, (f"turns on {', '.join(variable.turns_on)}", purpose)))
    mark = "" if variable.required else "#"
    return f"# {purpose}\n{mark}{variable.name}={_quoted(variable.default or '')}\n"


def _quoted(text: str) -> str:
    """As a shell and Compose both read it."""
    return f"'{text}'" if any(mark in text for mark in " $\"'\\#;&|<>()`*?") and "'" not in text else text


def _places(data: Any) -> dict[str, list[str]]:
    """Where each variable stands: `server.port`, or `openai: api_key` in the settings of a provider."""
    places: dict[str, list[str]] = {}
    for section, value in data.items():
        if section == "providers":
            for entries in value.values():
                for entry in entries or ():
                    provider_id = REFERENCE.sub(lambda match: match[3] or "", str(entry.get("provider_id", "")))
                    for name, path in _within(entry.get("config"), ""):
                        places.setdefault(name, []).append(f"{provider_id}: {path}")
        else:
            for name, path in _within(value, section):
                places.setdefault(name, []).append(path)
    return places


def _within(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _within(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _within(item, f"{path}[{index}]")
    elif isinstance(value, str):
        for name, _, _ in REFERENCE.findall(value):
            yield name, path
