"""Which names lead to which entry: one dict, built when the table changes and read on every request."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from heapq import nlargest
from itertools import islice
from typing import Generic, TypeVar

from llama_stack.routing.entries import Entry

E = TypeVar("E", bound=Entry)

SUGGESTIONS_MAX = 3
RANKED_NAMES_MAX = 300
COMPARED_NAMES_MAX = 16
"""Fuzzy comparison is slow: a misspelt id must not hold up the event loop for more than a few milliseconds."""


@dataclass(frozen=True, slots=True)
class NameIndex(Generic[E]):
    """`names`: canonical ids, aliases, unambiguous bare ids. `ambiguous`: bare ids and what each may mean."""

    names: Mapping[str, E]
    ambiguous: Mapping[str, tuple[str, ...]]


def index_names(entries: Iterable[E], provider_ids: Collection[str]) -> NameIndex[E]:
    """Canonical ids win over aliases, and both over bare ids; the first entry of a name keeps it.

    A bare id that starts with the id of a provider is left out: `openai/gpt-4o` must mean the provider `openai`, even
    while that one is not discovered and another lists a model of this name.
    """
    names: dict[str, E] = {}
    for entry in entries:
        names.setdefault(entry.identifier, entry)
    distinct = list(names.values())
    for entry in distinct:
        for alias in entry.aliases:
            names.setdefault(alias, entry)
    bare: dict[str, list[E]] = {}
    for entry in distinct:
        name = bare_id(entry)
        if name and name not in names and name.partition("/")[0] not in provider_ids:
            bare.setdefault(name, []).append(entry)
    ambiguous = {}
    for name, candidates in bare.items():
        if len(candidates) == 1:
            names[name] = candidates[0]
        else:
            ambiguous[name] = tuple(candidate.identifier for candidate in candidates)
    return NameIndex(names, ambiguous)


def bare_id(entry: Entry) -> str | None:
    """The identifier without its provider, or None if it carries none."""
    prefix = f"{entry.targets[0].provider_id}/"
    return entry.identifier.removeprefix(prefix) if entry.identifier.startswith(prefix) else None


def canonical_id(provider_id: str, resource_id: str) -> str:
    """`provider_id/resource_id`, unless the resource id already begins so."""
    prefix = f"{provider_id}/"
    return resource_id if resource_id.startswith(prefix) else prefix + resource_id


def nearest(identifier: str, names: Iterable[str]) -> list[str]:
    """The names that the caller may have meant, best first: those of the same provider, if there are any."""
    wanted = identifier[:128].lower()
    _, slash, tail = wanted.rpartition("/")
    provider = wanted.partition("/")[0] + "/"
    same = [name for name in names if slash and name.lower().startswith(provider)]
    pool = list(islice(same or names, RANKED_NAMES_MAX))

    def likeness(name: str) -> int:
        lower = name.lower()
        of_tail = _shared_start(tail, lower.rpartition("/")[2])
        return _shared_start(wanted, lower) + of_tail + (len(tail) if tail in lower else 0)

    compared = {name.lower(): name for name in nlargest(COMPARED_NAMES_MAX, pool, key=likeness)}
    close = difflib.get_close_matches(wanted, compared, n=SUGGESTIONS_MAX)
    contained = [lower for lower in compared if tail and tail in lower and lower not in close]
    return [compared[lower] for lower in (close + contained)[:SUGGESTIONS_MAX]]


def _shared_start(one: str, other: str) -> int:
    """How many characters the two begin with in common."""
    pairs = zip(one, other, strict=False)
    return next((place for place, (left, right) in enumerate(pairs) if left != right), min(len(one), len(other)))
