"""Keys that no section knows, with the nearest name that one does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from inspect import isclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from llama_stack.config.problem import ConfigPath, Problem, Severity
from llama_stack.config.section import Section

_NAMES_SHOWN_MAX = 12

_RESTRICTING = frozenset(
    {"auth", "quota", "access_policy", "route_policy", "tls_certfile", "tls_keyfile", "tls_cafile"}
)
"""Whoever writes one of these, misspelt or in the wrong place, would believe in a protection that is not there."""


def unknown_keys(data: Any, model: type[Section], ignored: Mapping[ConfigPath, str]) -> Iterator[Problem]:
    """One finding per key in `data` that `model` does not have: an error if the key seems to restrict something.

    The paths in `ignored` are reported elsewhere.
    """
    for problem in _in_value(data, model, ()):
        if problem.path not in ignored:
            yield problem


def _in_value(value: Any, annotation: Any, path: ConfigPath) -> Iterator[Problem]:
    if isinstance(value, dict):
        sections = _sections(annotation, value)
        if sections:
            yield from _in_section(value, sections, path)
            return
        for mapping in _parametrised(annotation, dict):
            for key, item in value.items():
                yield from _in_value(item, get_args(mapping)[1], (*path, key))
    elif isinstance(value, list):
        for sequence in _parametrised(annotation, list):
            for index, item in enumerate(value):
                yield from _in_value(item, get_args(sequence)[0], (*path, index))


def _in_section(value: dict[str, Any], sections: list[type[Section]], path: ConfigPath) -> Iterator[Problem]:
    fields = {name: field.annotation for section in sections for name, field in section.model_fields.items()}
    for key, item in value.items():
        if key in fields:
            yield from _in_value(item, fields[key], (*path, key))
        else:
            yield _unknown((*path, key), key, sorted(fields))


def _unknown(path: ConfigPath, key: str, known: list[str]) -> Problem:
    close = get_close_matches(key, known, n=1)
    if close:
        remedy = f"Did you mean {close[0]!r}?"
    else:
        more = ", …" if len(known) > _NAMES_SHOWN_MAX else ""
        remedy = f"Known here: {', '.join(known[:_NAMES_SHOWN_MAX])}{more}"
    restricts = path[:2] == ("server", "auth") or not _RESTRICTING.isdisjoint({key, *close})
    severity = Severity.ERROR if restricts else Severity.MISTAKE
    return Problem(f"the key {key!r} is not known and has no effect", path, remedy=remedy, severity=severity)


def _alternatives(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for option in get_args(annotation):
            yield from _alternatives(option)
    else:
        yield annotation


def _parametrised(annotation: Any, container: type) -> Iterator[Any]:
    return (option for option in _alternatives(annotation) if get_origin(option) is container)


def _sections(annotation: Any, value: dict[str, Any]) -> list[type[Section]]:
    """The sections that `value` may be: of several that carry a `type`, the one with the type that it names."""
    found = [option for option in _alternatives(annotation) if isclass(option) and issubclass(option, Section)]
    if len(found) > 1 and all("type" in section.model_fields for section in found):
        return [section for section in found if section.model_fields["type"].default == value.get("type")]
    return found
