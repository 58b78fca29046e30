"""Filters over many chunks at once: each distinct set of attributes has a number, and is looked at once.

The values of a key are numbered as well, so that a comparison is made once for each distinct value, in Python, with
exactly the meaning of `llama_stack_api.filters`; all the rest is arrays.
"""

from __future__ import annotations

import operator
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from llama_stack.providers._shared.vector_cache.growing import Growing
from llama_stack_api.filters import ComparisonFilter, CompoundFilter, Filter, kind_of
from llama_stack_api.ports.vector_io import Attributes

Kinded: TypeAlias = tuple[type, str | float | bool]
Selected: TypeAlias = NDArray[np.bool_]

FILTERS_KEPT: Final = 64
_ORDERS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


class AttributeSets:
    """Safe to use from several threads."""

    def __init__(self, sets: Iterable[Attributes] = ()) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[tuple[tuple[str, Kinded], ...], int] = {}
        self._sets: list[Attributes] = []
        self._columns: dict[str, _Column] = {}
        self._selected: OrderedDict[str, Selected] = OrderedDict()
        self.numbers_of(list(sets))

    def __len__(self) -> int:
        return len(self._sets)

    def all(self) -> list[Attributes]:
        """By number."""
        return self._sets[:]

    def numbers_of(self, many: Sequence[Attributes]) -> NDArray[np.int32]:
        with self._lock:
            return np.fromiter((self._number_of(attributes) for attributes in many), np.int32, len(many))

    def select(self, wanted: Filter) -> Selected:
        """By number of a set: whether it matches."""
        key = wanted.model_dump_json()
        with self._lock:
            found = self._selected.pop(key, None)
            if found is None or len(found) < len(self._sets):
                found = self._select(wanted)
            self._selected[key] = found
            if len(self._selected) > FILTERS_KEPT:
                self._selected.popitem(last=False)
            return found

    def _number_of(self, attributes: Attributes) -> int:
        kinded = [(key, (kind, value)) for key, value in attributes.items() if (kind := kind_of(value)) is not None]
        kinded.sort(key=operator.itemgetter(0))
        name = tuple(kinded)
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self._sets)
            self._sets.append(dict(attributes))
            for key, value in kinded:
                self._columns.setdefault(key, _Column()).add(number, value)
        return number

    def _select(self, wanted: Filter) -> Selected:
        if isinstance(wanted, CompoundFilter):
            join = np.logical_and if wanted.type == "and" else np.logical_or
            joined: Selected = join.reduce([self._select(each) for each in wanted.filters])
            return joined
        column = self._columns.get(wanted.key)
        found = np.zeros(len(self._sets), np.bool_)
        if column is not None:
            found[column.sets.view] = column.chosen(wanted)[column.codes.view]
        return ~found if wanted.type in ("ne", "nin") else found


class _Column:
    """One key: which `sets` have it, and the code of the value that they have."""

    def __init__(self) -> None:
        self.sets = Growing(np.int32)
        self.codes = Growing(np.int32)
        self._code_of: dict[Kinded, int] = {}

    def add(self, number: int, value: Kinded) -> None:
        self.sets.append(number)
        self.codes.append(self._code_of.setdefault(value, len(self._code_of)))

    def chosen(self, wanted: ComparisonFilter) -> Selected:
        """By code: whether the value is equal to (one of) the filter's, or stands to it as the operator says."""
        if wanted.type in _ORDERS:
            return self._ordered(_ORDERS[wanted.type], wanted.value)
        chosen = np.zeros(len(self._code_of), np.bool_)
        for each in wanted.value if isinstance(wanted.value, list) else [wanted.value]:
            kind = kind_of(each)
            code = None if kind is None else self._code_of.get((kind, each))
            if code is not None:
                chosen[code] = True
        return chosen

    def _ordered(self, order: Callable[[Any, Any], bool], value: object) -> Selected:
        kind = kind_of(value)
        if kind is bool:
            return np.zeros(len(self._code_of), np.bool_)
        return np.fromiter(
            (found_kind is kind and order(found, value) for found_kind, found in self._code_of),
            np.bool_,
            len(self._code_of),
        )
