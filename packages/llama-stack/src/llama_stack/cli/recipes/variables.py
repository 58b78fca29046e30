"""The environment variables of a run config: what each is for, and which must be set."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import yaml

from llama_stack.config.env import REFERENCE, if_set, turned_on_by

_POSITION = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True)
class Variable:
    """`default` is what stands in its place when it is unset; None: nothing does. `required`: without it the config is
    not read. `provider_ids` are those of the providers whose settings name it, `turns_on` of those that it turns on,
    `settings` the other parts of the config that name it, with dots and without positions in lists. `places` is where
    exactly it stands, for people: `openai: api_key` in a provider's settings, `server.port` elsewhere."""

    name: str
    default: str | None
    required: bool
    provider_ids: tuple[str, ...] = ()
    turns_on: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a reference stands: at a path of the config, or of the settings of a provider."""

    provider_id: str | None = None
    path: str = ""
    is_switch: bool = False
    optional: bool = False
    """The entry may be turned off; what it lacks is then no error."""

    def __str__(self) -> str:
        return self.path if self.provider_id is None else f"{self.provider_id}: {self.path}"

    def below(self, step: str) -> _Place:
        return replace(self, path=f"{self.path}{step}".removeprefix("."))


@dataclass(frozen=True, slots=True)
class _Use:
    name: str
    operator: str
    operand: str
    place: _Place


def variables_of(text: str) -> list[Variable]:
    """The variables of `${env…}` in a run config, in the order in which they appear."""
    uses: dict[str, list[_Use]] = {}
    for use in _uses(yaml.safe_load(text)):
        uses.setdefault(use.name, []).append(use)
    return [_variable(name, found) for name, found in uses.items()]


def _variable(name: str, uses: list[_Use]) -> Variable:
    places = [use.place for use in uses]
    ids = [place.provider_id for place in places if place.provider_id is not None]
    switched = [use.place.provider_id for use in uses if use.place.is_switch and use.place.provider_id is not None]
    return Variable(
        name=name,
        default=next((use.operand for use in uses if use.operator == "=" and use.operand), None),
        required=any(not use.operator and not use.place.optional for use in uses),
        provider_ids=tuple(dict.fromkeys(ids)),
        turns_on=tuple(dict.fromkeys(switched)),
        settings=tuple(dict.fromkeys(_POSITION.sub("", each.path) for each in places if each.provider_id is None)),
        places=tuple(dict.fromkeys(str(place) for place in places if not place.is_switch)),
    )


def _uses(config: dict[str, Any]) -> Iterator[_Use]:
    for section, value in config.items():
        if section != "providers":
            yield from _within(value, _Place(path=section))
            continue
        for entries in (value or {}).values():
            for entry in entries or ():
                yield from _of_provider(entry)


def _of_provider(entry: dict[str, Any]) -> Iterator[_Use]:
    written = str(entry.get("provider_id"))
    provider_id = if_set(written)
    conditional = bool(turned_on_by(written))
    yield from _within(written, _Place(provider_id, is_switch=True, optional=True))
    yield from _within(entry.get("config"), _Place(provider_id, optional=conditional))


def _within(value: Any, place: _Place) -> Iterator[_Use]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _within(item, place.below(f".{key}"))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _within(item, place.below(f"[{index}]"))
    elif isinstance(value, str):
        for name, operator, operand in REFERENCE.findall(value):
            yield _Use(name, operator, operand, place)
