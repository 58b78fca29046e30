"""A filter as SQL over the table `attributes`, meaning exactly `llama_stack_api.filters.matches`.

SQLite compares text by its UTF-8 bytes, which is the order of code points, and whole numbers with fractions exactly.
`kind` keeps what is of another kind apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from llama_stack_api.filters import ComparisonFilter, CompoundFilter, Filter

Value: TypeAlias = str | float | bool
Bound: TypeAlias = str | int | float | bytes

TEXT: Final = "s"
NUMBER: Final = "n"
FLAG: Final = "b"
_ORDERS: Final = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_INTEGER_MAX: Final = 2**63 - 1


def sets_matching(wanted: Filter) -> tuple[str, list[Bound]]:
    """A condition on `sets.number`, and what is bound in it."""
    if isinstance(wanted, CompoundFilter):
        parts = [sets_matching(each) for each in wanted.filters]
        joined = _joined(wanted.type.upper(), [condition for condition, _ in parts])
        return joined, [value for _, values in parts for value in values]
    condition, values = _comparison(wanted)
    negation = "NOT " if wanted.type in ("ne", "nin") else ""
    chosen = f"sets.number {negation}IN (SELECT set_number FROM attributes WHERE key = ? AND {condition})"  # noqa: S608
    return chosen, [wanted.key, *values]


def _joined(operator: str, conditions: Sequence[str]) -> str:
    """In a balanced tree: SQLite takes a chain of conditions for a tree as deep as it is long, and refuses 1000
    levels."""
    if len(conditions) == 1:
        return conditions[0]
    half = len(conditions) // 2
    return f"({_joined(operator, conditions[:half])} {operator} {_joined(operator, conditions[half:])})"


def _comparison(wanted: ComparisonFilter) -> tuple[str, list[Bound]]:
    if wanted.type in _ORDERS:
        assert not isinstance(wanted.value, list)
        kind, value = stored(wanted.value)
        if kind == FLAG:
            return "FALSE", []
        return f"kind = ? AND value {_ORDERS[wanted.type]} ?", [kind, value]
    values = wanted.value if isinstance(wanted.value, list) else [wanted.value]
    if not values:
        return "FALSE", []
    pairs = ", ".join(["(?, ?)"] * len(values))
    return f"(kind, value) IN (VALUES {pairs})", [bound for value in values for bound in stored(value)]


def stored(value: Value) -> tuple[str, Bound]:
    """The kind of a value, and the value as SQLite has it."""
    if isinstance(value, bool):
        return FLAG, int(value)
    if isinstance(value, str):
        return TEXT, value
    if isinstance(value, int) and abs(value) > _INTEGER_MAX:
        return NUMBER, float(value)
    return NUMBER, value
